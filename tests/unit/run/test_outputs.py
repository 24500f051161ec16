"""What a run writes is known by its place, and by what it is, however it is called."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mar_core import ArchiveRequest, UsageError
from mar_core.run.outputs import Outputs, check_apart, is_note, standard_files
from mar_core.run.writers.journal import LONGEST, RunState
from mar_core.runtime.file_watch import stamp_of


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("out.csv", "in.csv", "m.mar"):
        (tmp_path / name).write_text("x")
    (tmp_path / "blobs").mkdir()
    return tmp_path


def test_the_files_of_an_output(place):
    assert Outputs().files() == ()
    assert Outputs().identities() == frozenset()
    link = place / "link.csv"
    link.symlink_to("out.csv")
    for path in (link, Path("out.csv")):
        assert [file.name for file in Outputs(file=path).files()] == [
            "out.csv", "out.csv.part", "out.csv.run",
        ]  # fmt: skip
        assert {file.parent for file in Outputs(file=path).files()} == {place}


def test_what_a_run_holds(place):
    outputs = Outputs(file=Path("out.csv"), folders=(Path("blobs"),))
    (place / "hard.csv").hardlink_to("out.csv")
    (place / "soft").symlink_to("blobs")
    for path in ("out.csv", "./blobs/../out.csv", "hard.csv", "soft", "blobs", "out.csv.part",
                 str(place / "out.csv.run")):  # fmt: skip
        assert outputs.holds(path), path
    for path in ("in.csv", "m.mar", ".", "out.csv.other", "none", "blobs/x", "a\0b"):
        assert not outputs.holds(path), path
    assert outputs.identities() == {
        (status.st_dev, status.st_ino) for status in (Path("out.csv").stat(), Path("blobs").stat())
    }


def refused(**given):
    told = {"archive": Path("m.mar"), "inputs": (), "lists": (), **given}
    output, folders = told.pop("output", "out.csv"), told.pop("folders", ())
    streams = frozenset(told.pop("streams", ()))
    outputs = Outputs(
        file=output and Path(output), folders=tuple(map(Path, folders)), streams=streams
    )
    try:
        check_apart(outputs, **told)
    except UsageError as error:
        return str(error).removesuffix(" Name another place with --output or --output-dir.")
    return None


def test_a_run_over_what_it_writes(place):
    (place / "list.part").write_text("x")
    assert refused(inputs=("in.csv",)) is None
    assert refused(inputs=("in.csv", "./out.csv")) == "./out.csv is read and written by one run."
    assert refused(lists=("out.csv",)) == "out.csv is read and written by one run."
    assert refused(inputs=("list.part",), output="list") is not None
    assert refused(inputs=("list.run",), output="list") is not None
    assert refused(inputs=("http://x.example/out.csv", "out.csv")) is not None
    assert refused(inputs=("http://x.example/out.csv",)) is None
    assert refused(lists=("a\0b",)) is None
    assert refused(output="m.mar") == "m.mar is read and written by one run."
    assert refused(output=None, inputs=("out.csv",)) is None
    one = "The folder blobs is read and written by one run."
    assert refused(inputs=("blobs",), folders=["blobs"]) == one
    assert refused(inputs=(".",), folders=["blobs"]) is None


@pytest.fixture
def stream(place):
    """Makes a standard stream of this process a file, or a pipe, until the test ends."""
    kept, pipe = {number: os.dup(number) for number in (0, 1, 2)}, os.pipe()

    def make(number, name=None):
        opened = pipe[0] if name is None else os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        if name is not None:
            os.close(opened)

    yield make
    for number, descriptor in kept.items():
        os.dup2(descriptor, number)
    for descriptor in (*kept.values(), *pipe):
        os.close(descriptor)


def identity(name):
    return Path(name).stat().st_dev, Path(name).stat().st_ino


def test_standard_input_that_the_run_writes(stream):
    told = "Standard input is a file that the run writes."
    stream(0, "out.csv")
    assert refused(stdin=True) == told
    assert refused(stdin=False) is None
    assert refused(stdin=True, output=None, streams={identity("out.csv")}) == told
    for other in ("in.csv", None):
        stream(0, other)
        assert refused(stdin=True) is None
        assert refused(stdin=True, output="none.csv", streams={identity("out.csv")}) is None


def test_what_standard_output_and_errors_are(stream):
    for number, name in enumerate(("in.csv", "rows", "errors")):
        stream(number, name)
    assert standard_files() == {identity("rows"), identity("errors")}
    stream(2)  # nobody else can be asked whether a pipe is what is read
    assert standard_files() == {identity("rows")}
    told = refused(output=None, inputs=("in.csv", "rows"), streams=standard_files())
    assert told == "rows is read and written by one run."
    assert refused(output=None, inputs=("in.csv",), streams=standard_files()) is None


def test_a_run_of_what_it_writes_into(place):
    (place / "model" / "deep").mkdir(parents=True)
    (place / "model" / "handler.py").write_text("x")
    told = "would become a part of model, which is run."
    for output in ("model/out.csv", "model/deep/out.csv"):
        assert refused(archive=Path("model"), output=output).endswith(told)
    assert refused(archive=Path("model"), output=None, folders=["model/new"]).endswith(told)
    assert refused(archive=Path("model"), output="model.csv") is None
    request = ArchiveRequest(
        model_name="m", version="1", handler="model/handler.py", extra_files=("blobs", "in.csv")
    )
    assert "is read and written" in refused(archive=request, output="model/handler.py")
    assert "is read and written" in refused(archive=request, output="in.csv")
    assert "a part of blobs" in refused(archive=request, output="blobs/out.csv")
    assert refused(archive=request) is None


def test_a_note_says_what_made_an_output(place):
    output = place / "out.csv"
    assert RunState.load(output) is None
    note = RunState(digest="d", finished=True, stamp=stamp_of(output), begun=7)
    note.save(output)
    assert RunState.load(output) == note
    assert is_note("out.csv.run")
    assert not is_note("out.csv")
    assert not note.foreign_change(output)
    output.write_text("more than that")
    assert note.foreign_change(output) == f"{output} has been changed since mar wrote it"
    assert stamp_of(place / "none") is None
    assert not RunState(digest="d", finished=False, stamp=(1, 1)).foreign_change(output)
    assert not RunState(digest="d", finished=True).foreign_change(output)
    assert is_note("out.csv.run")
    old = {"digest": 1, "finished": 1}
    for raw, found in (
        (json.dumps(old), RunState(digest="1", finished=True)),
        (json.dumps(old).ljust(LONGEST), RunState(digest="1", finished=True)),
        (json.dumps(old | {"other": "x" * LONGEST}), None),
        (json.dumps(old | {"stamp": [1]}), None),
        (json.dumps({"digest": 1}), None),
        ("[]", None),
        ("five miles", None),
    ):
        RunState.path(output).write_text(raw)
        assert RunState.load(output) == found
        assert is_note("out.csv.run") == (found is not None)
