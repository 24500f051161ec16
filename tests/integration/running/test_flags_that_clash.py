"""No flag is dropped in silence, and what is no archive or no file is told so."""

from __future__ import annotations

import json
import stat

import pytest
from packs import mar

from mar_core import UsageError
from mar_core.run.planning import Asked, job_of

JSON = ("content-type: application/json",)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"form": ("a=1",), "words": ("m.mar", "rows.jsonl")}, "Both the input rows.jsonl and -F"),
        ({"form": ("a=1",), "column": "x"}, "--column takes from rows"),
        ({"upload": ("a",), "truth": "x"}, "--truth names a column"),
        ({"data": ("a=1",), "include": ("*.x",)}, "--include takes from folders"),
        ({"upload": ("a",), "raw": True}, "--raw sends rows as bytes"),
        ({"form": ("a=1",), "content_type": "a/b"}, "-F sends a form"),
        ({"words": ("m.mar", "a"), "column": "x", "content_type": "a/b"}, "--column is for rows"),
        ({"words": ("m.mar", "a"), "raw": True, "header": JSON}, "--raw is for rows"),
        ({"words": ("m.mar", "a"), "raw": True, "envelope": "json"}, "--raw sends bytes"),
        ({"words": ("m.mar", "a"), "force": True}, "--force has nothing to replace"),
        ({"words": ("m.mar", "a"), "dry_run": True, "watch": True}, "--dry-run runs nothing"),
        ({"words": ("m.mar", "-"), "watch": True}, "standard input can be read once"),
        ({"words": ("https://x.org/m.mar", "a")}, "Fetch it first, such as by `curl -LO https:"),
    ],
)
def test_a_clash_is_a_sentence(asked, says):
    with pytest.raises(UsageError) as caught:
        job_of(Asked(**{"words": ("m.mar",), **asked}))
    assert says in str(caught.value)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    (folder / "h.py").write_text(
        "def handle(data, context):\n    return [repr(row) for row in data] if data else None\n"
    )
    words = ("--model-name", "m", "--version", "1.0", "--handler", "h.py", "-q")
    mar("archive", *words, cwd=folder)
    (folder / "rows.jsonl").write_text('{"n": 1}\n')
    return folder


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("m.mar", "h.py", "--column", "n"), "--column takes from rows, and no input is any."),
        (("m.mar", "h.py", "--keep", "n"), "--keep takes from rows, and no input is any."),
        (("m.mar", "rows.jsonl", "h.py", "--include", "*.x"), "--include takes from folders, zips"),
        (("m.mar", "h.py", "--column", "n", "--dry-run"), "--column takes from rows"),
    ],
)
def test_a_flag_that_does_nothing_for_the_inputs_is_refused(desk, words, says):
    done = mar("run", *words, "--output", "none.jsonl", cwd=desk, code=2)
    assert says in done.stderr
    assert not (desk / "none.jsonl").exists()


def test_a_flag_that_does_something_for_one_input_is_taken(desk):
    words = ("m.mar", "rows.jsonl", "h.py", "--column", "n", "--keep", "n", "-q")
    first, _ = mar("run", *words, cwd=desk).stdout.splitlines()
    assert json.loads(first)["input"] == {"n": 1}


def test_what_is_no_archive_and_what_is_no_file(desk):
    done = mar("run", "h.py", "x", cwd=desk, code=2)
    assert "h.py is Python and no archive. Run it by `mar run --handler h.py INPUT`" in done.stderr
    done = mar("run", "--handler", "h.py", "m.mar", "rows.jsonl", cwd=desk, code=2)
    assert "Both m.mar and --handler say what is run" in done.stderr
    done = mar("run", "m.mar", "some text", "-q", cwd=desk, code=1)
    assert "-d 'THE TEXT'" in json.loads(done.stdout)["error"]["message"]
    done = mar("run", "m.mar", "-H", "content-type: text/plain", "-d", "some text", "-q", cwd=desk)
    assert json.loads(done.stdout)["result"] == "{'body': 'some text'}"
    done = mar("run", "m.mar", "foo://b/x", "s3://b/x", "-q", cwd=desk, code=1)
    said = [json.loads(line)["error"]["message"] for line in done.stdout.splitlines()]
    assert said[0] == "foo://b/x cannot be opened: nothing here reads foo://."
    assert "pip install s3fs" in said[1] or "cannot be" in said[1]
    done = mar("run", "m.mar", "x", "--limit", "-1", cwd=desk, code=2)
    assert "it must be 0 or more" in done.stderr


def test_unpacking(desk, tmp_path):
    (tmp_path / "umask.py").write_text("")
    done = mar("unpack", desk / "m.mar", cwd=tmp_path)
    assert done.stdout.startswith("m  2 files  ")
    assert sorted(path.name for path in (tmp_path / "m").rglob("*") if path.is_file()) == [
        "MANIFEST.json", "h.py",
    ]  # fmt: skip
    assert (tmp_path / "m" / "h.py").read_bytes() == (desk / "h.py").read_bytes()
    assert not stat.S_IMODE((tmp_path / "m" / "h.py").stat().st_mode) & 0o111
    mar("validate", "m", cwd=tmp_path)
    done = mar("run", "m", desk / "rows.jsonl", "-q", cwd=tmp_path)
    assert json.loads(done.stdout)["result"] == "{'body': {'n': 1}}"
    assert "exists already" in mar("unpack", desk / "m.mar", cwd=tmp_path, code=2).stderr
    mar("unpack", desk / "m.mar", "deep/er", "-q", cwd=tmp_path)
    assert (tmp_path / "deep" / "er" / "h.py").exists()
    mar("unpack", desk / "m.mar", "deep/er", "-f", "-q", cwd=tmp_path)
    (tmp_path / "bad.mar").write_bytes((desk / "m.mar").read_bytes()[:-30])
    mar("unpack", "bad.mar", "bad", cwd=tmp_path, code=2)
    assert not (tmp_path / "bad").exists()
