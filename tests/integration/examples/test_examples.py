"""Archives that prove themselves: `mar archive --example`, `mar test`."""

from __future__ import annotations

import json
import tarfile
import zipfile

import pytest
from packs import mar

from mar_core import open_archive

HANDLER = """
import json, os, pathlib

class Doubles:
    def initialize(self, context):
        folder = pathlib.Path(context.system_properties["model_dir"])
        self.factor = json.loads((folder / "factor.json").read_text())

    def handle(self, data, context):
        return [self.answer(row.get("data") or row.get("body")) for row in data]

    def answer(self, value):
        if isinstance(value, (bytes, bytearray)) and not value.strip().isdigit():
            raise ValueError("no number")
        moved = float(os.environ.get("MOVED", 0))
        return {"number": float(value) * self.factor + moved, "name": "x"}
"""
INDEX = "MAR-INF/examples/examples.json"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "handler.py").write_text(HANDLER)
    (tmp_path / "factor.json").write_text("2.0")
    (tmp_path / "three.txt").write_text("3")
    (tmp_path / "rows.jsonl").write_text('{"data": 1}\n{"data": 2}\n')
    (tmp_path / "bad.txt").write_text("many")
    return tmp_path


def archive(folder, *examples, words=(), code=0):
    flags = [word for name in examples for word in ("--example", name)]
    return mar(
        *("archive", "--model-name", "doubles", "--version", "1", "--handler", "handler.py"),
        *("--extra-files", "factor.json", *flags, *words),
        cwd=folder,
        code=code,
    )


def test_inputs_and_answers_are_in_the_archive(folder):
    archive(folder, "three.txt", "rows.jsonl")
    with open_archive(folder / "doubles.mar") as made:
        assert made.read("MAR-INF/examples/1/three.txt") == b"3"
        assert "MAR-INF/examples/2/rows.jsonl" in made.members
        first, second = json.loads(made.read(INDEX))["examples"]
        assert INDEX in made.manifest.mar["members"]
    assert first == {
        "input": "MAR-INF/examples/1/three.txt",
        "results": [{"number": 6.0, "name": "x"}],
        "tolerance": {"relative": 1e-3, "absolute": 1e-5},
    }
    assert [result["number"] for result in second["results"]] == [2.0, 4.0]
    done = mar("test", "doubles.mar", cwd=folder)
    assert done.stdout.splitlines() == [
        "ok      three.txt",
        "ok      rows.jsonl",
        "2 of 2 examples give what was recorded.",
    ]
    mar("validate", "doubles.mar", cwd=folder)


@pytest.mark.parametrize("archive_format", ["zip-store", "tgz", "no-archive"])
def test_they_run_again_in_every_format(folder, archive_format):
    archive(folder, "three.txt", words=("--archive-format", archive_format))
    name = {"zip-store": "doubles.mar", "tgz": "doubles.tar.gz"}.get(archive_format, "doubles")
    assert "1 of 1 examples" in mar("test", name, cwd=folder).stdout


def test_what_differs_is_shown_by_how_much(folder):
    archive(folder, "three.txt", "rows.jsonl")
    done = mar("test", "doubles.mar", cwd=folder, code=1, MOVED="0.5")
    assert "FAILED  three.txt" in done.stdout
    assert "result[0].number: expected 6.0, got 6.5 (off by 0.5)" in done.stdout
    assert "0 of 2 examples give what was recorded." in done.stdout
    mar("test", "doubles.mar", cwd=folder, MOVED="0.001")
    told = mar("test", "doubles.mar", "--tolerance", "0.3", cwd=folder, code=0, MOVED="0.5")
    assert "2 of 2" in told.stdout


def test_json_says_it_to_programs(folder):
    archive(folder, "three.txt")
    done = mar("test", "doubles.mar", "--json", cwd=folder, code=1, MOVED="1")
    (result,) = json.loads(done.stdout)
    assert result["passed"] is False
    assert result["differences"][0]["place"] == "result[0].number"
    assert result["differences"][0]["amount"] == pytest.approx(1.0)


def test_update_records_anew(folder):
    archive(folder, "three.txt")
    mar("test", "doubles.mar", "--update", cwd=folder, MOVED="1")
    mar("test", "doubles.mar", cwd=folder, MOVED="1")
    mar("test", "doubles.mar", cwd=folder, code=1)
    mar("validate", "doubles.mar", cwd=folder)


def test_an_archive_whose_example_fails_is_not_written(folder):
    done = archive(folder, "three.txt", "bad.txt", code=2)
    assert "The example bad.txt fails: " in done.stderr
    assert "ValueError: no number" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "doubles.mar").exists()


def test_an_old_archive_stays_when_an_example_fails(folder):
    archive(folder)
    before = (folder / "doubles.mar").read_bytes()
    archive(folder, "bad.txt", words=("--force",), code=2)
    assert (folder / "doubles.mar").read_bytes() == before


def test_an_example_that_is_not_there(folder):
    done = archive(folder, "nosuch.txt", code=2)
    assert "There is no file 'nosuch.txt'." in done.stderr
    assert not (folder / "doubles.mar").exists()


def test_an_archive_without_examples_says_how_to_have_some(folder):
    archive(folder)
    done = mar("test", "doubles.mar", cwd=folder, code=2)
    assert "doubles.mar has no examples." in done.stderr
    assert "--example" in done.stderr


def test_an_example_that_fails_later_is_named(folder):
    archive(folder, "three.txt")
    words = ("update", "doubles.mar", "--handler", "handler.py")
    (folder / "handler.py").write_text(HANDLER.replace("float(value) *", "1 / 0 *"))
    mar(*words, cwd=folder)
    done = mar("test", "doubles.mar", cwd=folder, code=1)
    assert "FAILED  three.txt" in done.stdout
    assert "ZeroDivisionError" in done.stdout
    done = mar("test", "doubles.mar", "--update", cwd=folder, code=2)
    assert "The example three.txt fails" in done.stderr


def test_a_list_of_examples_that_is_damaged(folder):
    archive(folder, "three.txt", words=("--archive-format", "no-archive"))
    (folder / "doubles" / INDEX).write_text('{"examples": [{"input": 1}]}')
    done = mar("test", "doubles", cwd=folder, code=2)
    assert "Traceback" not in done.stderr
    assert INDEX in done.stderr


def test_the_same_examples_give_the_same_bytes(folder):
    archive(folder, "three.txt")
    before = (folder / "doubles.mar").read_bytes()
    archive(folder, "three.txt", words=("--force",))
    assert (folder / "doubles.mar").read_bytes() == before


def test_servers_see_a_folder_that_they_ignore(folder):
    archive(folder, "three.txt")
    with zipfile.ZipFile(folder / "doubles.mar") as made:
        extra = [name for name in made.namelist() if name.startswith("MAR-INF/")]
    assert sorted(extra) == [
        "MAR-INF/MANIFEST.json",
        "MAR-INF/examples/1/three.txt",
        "MAR-INF/examples/examples.json",
    ]
    archive(folder, "three.txt", words=("--archive-format", "tgz"))
    with tarfile.open(folder / "doubles.tar.gz") as made:
        assert f"doubles/{INDEX}" in made.getnames()
