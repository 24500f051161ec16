"""Keys and tokens are warned of before they are packed."""

from __future__ import annotations

import pytest

from mar_core.build.assembly import secrets_in

# Put together here, so that no scanner takes this file for a leak.
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nabc\n"
HUGGING_FACE = "hf_" + "a1" * 17
GITHUB = "ghp_" + "a1" * 18
AWS = "AKIA" + "ABCDEFGH12345678"


def codes(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return [(f.code, f.member) for f in secrets_in({f"sub/{name}": path})]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".env", "PASSWORD=1"), (".env.production", ""), ("id_rsa", ""), ("server.key", ""),
        ("server.pem", "?"), ("x.pem", KEY), ("x.txt", KEY), ("store.p12", ""), (".netrc", ""),
        ("handler.py", f"TOKEN = '{HUGGING_FACE}'"), ("settings.json", f'{{"t": "{GITHUB}"}}'),
        ("a.yaml", f"key: {AWS}"), ("key.json", '{"type": "service_account"}'),
        ("requirements.txt", f"--index-url=https://me:{'pass' + '1'}@pypi.example/simple"),
        ("db.yaml", f"url: 'postgres://me:{'pass' + '1'}@db.example:5432/x'"),
    ],
)  # fmt: skip
def test_told(tmp_path, name, text):
    assert codes(tmp_path, name, text) == [("MAR-E004", f"sub/{name}")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".env.example", "PASSWORD="), ("id_rsa.pub", "ssh-rsa AAAA"), ("keys.txt", "a b"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\nabc\n"), ("handler.py", "hf_token = None\n"),
        ("vocab.txt", "hf_x\nAKIA\n"), ("environment.yml", "a: b"), ("monkey.txt", ""),
        ("requirements.txt", "git+ssh://git@github.com/a/b\n--index-url https://${ME}:${PW}@x.example"),
        ("a.py", "f'https://{user}:{password}@{host}/'; 'http://localhost:8080/@a'; 'x://a:b/c@d'"),
    ],
)  # fmt: skip
def test_not_told(tmp_path, name, text):
    assert codes(tmp_path, name, text) == []
