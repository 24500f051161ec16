"""The certificates of https addresses: what is taken, and what is said of the others."""

from __future__ import annotations

import logging
import subprocess

import pytest
from mar_serve.tls import server_context

from mar_core import UsageError


def pair(folder, name, *options):
    """A certificate and its key, by openssl."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    names = ("-subj", "/CN=localhost")
    kind = options or ("-nodes", "-newkey", "rsa:2048")
    made = subprocess.run(
        ["openssl", "req", "-x509", *names, "-keyout", key, "-out", certificate, *kind],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return certificate, key


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    return {
        "good": pair(folder, "good"),
        "weak": pair(folder, "weak", "-nodes", "-newkey", "rsa:1024"),
        "secret": pair(folder, "secret", "-passout", "pass:x", "-newkey", "rsa:2048"),
    }


def test_a_certificate_of_old_is_used_with_a_warning(pairs, caplog):
    with caplog.at_level(logging.WARNING, "mar_serve.server"):
        assert server_context(*pairs["good"])
        assert not caplog.messages
        assert server_context(*pairs["weak"])
    # Where the system's OpenSSL takes it as it is, there is nothing to be said.
    assert all("is weak (ee key too small): replace it" in one for one in caplog.messages)


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("good", "weak", "cannot be used for https: .*mismatch"),
        ("secret", "secret", "cannot be used for https: .*password"),
        ("good", None, "There is no file .*missing for the https address"),
    ],
)
def test_one_that_cannot_be_used_is_an_error(pairs, tmp_path, certificate, key, said):
    private = pairs[key][1] if key else tmp_path / "missing"
    with pytest.raises(UsageError, match=said):
        server_context(pairs[certificate][0], private)
