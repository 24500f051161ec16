"""JSON documents, CSV and Parquet; standard output; files for what JSON cannot hold."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from mar_core import Failure, Outcome, OutputError, Response, UsageError, WriteOptions
from mar_core.run.writers import open_writer
from mar_core.runtime.values import BlobFolder

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"))
RESULTS = st.none() | st.integers() | TEXT | st.dictionaries(TEXT, st.integers() | TEXT)
FAILURE = Failure(stage="read", type="InputError", message='no "x", no\ny', code=400)
ENDINGS = [".json", ".csv", ".tsv", ".parquet"]


def read(path):
    """The cells of an output, by another program than the one that wrote it."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        return list(csv.DictReader(stream, delimiter=delimiter))


def cell(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@settings(max_examples=30, deadline=None)
@given(results=st.lists(RESULTS, max_size=5), ending=st.sampled_from(ENDINGS))
def test_any_results_come_back(tmp_path_factory, results, ending):
    path = tmp_path_factory.mktemp("any") / f"out{ending}"
    with open_writer(path) as writer:
        writer.write([Outcome(index=n, id=f"a,{n}", result=r) for n, r in enumerate(results)])
        writer.write([Outcome(index=9, id="bad", failure=FAILURE)])
    if ending == ".json":
        found = json.loads(path.read_bytes())
        assert [row["result"] for row in found[:-1]] == results
        assert found[-1]["error"]["message"] == FAILURE.message
        return
    found = read(path)
    assert [row["id"] for row in found] == [*(f"a,{n}" for n in range(len(results))), "bad"]
    assert [row["result"] for row in found[:-1]] == [cell(result) for result in results]
    assert found[-1]["error_message"] == FAILURE.message
    assert str(found[-1]["error_code"]) == "400"
    assert not found[-1]["result"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_empty_run(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    open_writer(path).close()
    assert (json.loads(path.read_bytes()) if ending == ".json" else read(path)) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_file_appears_whole_and_an_interrupted_run_resumes(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    path.write_text("old")
    writer = open_writer(path, digest="d", force=True)
    writer.write([Outcome(index=0, id="a", result=1)])
    assert path.read_text() == "old"
    writer.close(finished=False)
    assert path.read_text() == "old"
    with pytest.raises(OutputError, match="interrupted"):
        open_writer(path, digest="d")
    with open_writer(path, resume=True, digest="d") as writer:
        assert len(writer.done) == 1
        writer.write([Outcome(index=1, id="b", result=2, streamed=("x",), response=Response())])
    found = json.loads(path.read_bytes()) if ending == ".json" else read(path)
    assert [row["id"] for row in found] == ["a", "b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"out{ending}", f"out{ending}.run"]
    with pytest.raises(OutputError, match="is finished"):
        open_writer(path, resume=True, digest="d")


def test_parquet_has_types(tmp_path):
    path = tmp_path / "out.parquet"
    with open_writer(path, options=WriteOptions(details=True)) as writer:
        said = Response(status=201)
        writer.write([Outcome(index=0, id="a", result="cat", response=said, streamed=("x",))])
    schema = parquet.read_schema(path)
    assert {name: str(schema.field(name).type) for name in schema.names} == {
        "id": "string", "result": "string", "error_stage": "string", "error_type": "string",
        "error_message": "string", "error_code": "int32", "streamed": "string",
        "response": "string",
    }  # fmt: skip
    (row,) = read(path)
    assert (row["result"], row["streamed"], row["response"]) == ("cat", '["x"]', '{"status": 201}')


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_text_that_utf8_cannot_hold_costs_no_table(tmp_path, ending, flat):
    path = tmp_path / f"out{ending}"
    name = os.fsdecode(b"caf\xe9.png")
    with open_writer(path, options=WriteOptions(flat=flat)) as writer:
        writer.write([Outcome(index=0, id=name, result={"a\ud800": "lone \ud800", "n": 1 << 70})])
    (row,) = read(path)
    assert row["id"] == (name if ending != ".parquet" else "caf\\udce9.png")
    if flat:
        assert (row["a\\ud800"], row["n"]) == ("lone \\ud800", str(1 << 70))


def test_parquet_without_pyarrow_is_refused_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"needs pyarrow.*mar-core\[parquet\]"):
        open_writer(tmp_path / "out.parquet")
    assert not list(tmp_path.iterdir())


def test_standard_output_gets_lines(capfdbinary):
    with open_writer(None) as writer:
        writer.write([Outcome(index=0, id="é", result=1), Outcome(index=1, id="b", result="ü")])
        assert capfdbinary.readouterr().out.decode() == (
            '{"id": "é", "result": 1}\n{"id": "b", "result": "ü"}\n'
        )


@pytest.mark.parametrize("path", [None, "-"])
def test_a_stream_of_choice(path):
    stream = io.StringIO()
    with open_writer(path, stream=stream) as writer:
        writer.write([Outcome(index=0, id="é", result=1)])
    assert stream.getvalue() == '{"id": "é", "result": 1}\n'
    raw = io.BytesIO()
    ascii_only = io.TextIOWrapper(raw, encoding="ascii")
    with open_writer(path, stream=ascii_only) as writer:
        writer.write([Outcome(index=0, id="é", result=1)])
    assert raw.getvalue().decode() == stream.getvalue(), "JSON is UTF-8 whatever the terminal is"
    assert sys.stdout is not stream
    with pytest.raises(UsageError, match="cannot be resumed"):
        open_writer(path, resume=True)


def test_blobs_go_to_files(tmp_path):
    folder = tmp_path / "blobs"
    picture = Image.new("RGB", (4, 3), "red")
    view = torch.arange(10_000.0)[:2]
    result = {
        "mask": np.eye(2), "t": view, "picture": picture, "raw": b"\xff\xd8\xff\xe0",
        "n": torch.tensor(2), "deep": [b"x", b"x"],
    }  # fmt: skip
    with open_writer(tmp_path / "out.jsonl", output_dir=folder) as writer:
        writer.write([Outcome(index=0, id="../a b/7.png", result=result)])
    row = json.loads((tmp_path / "out.jsonl").read_text())["result"]
    assert row["n"] == 2
    assert np.load(row["mask"]["file"]).tolist() == [[1, 0], [0, 1]]
    assert (row["mask"]["dtype"], row["mask"]["shape"]) == ("float64", [2, 2])
    assert torch.load(row["t"]["file"], weights_only=True).tolist() == [0.0, 1.0]
    assert row["t"]["size"] == Path(row["t"]["file"]).stat().st_size < 4000, (
        "a view takes its own bytes"
    )
    assert Image.open(row["picture"]["file"]).getpixel((0, 0)) == (255, 0, 0)
    assert row["raw"]["file"].endswith(".jpg")
    names = [row[key]["file"] for key in ("mask", "t", "picture", "raw")]
    names += [blob["file"] for blob in row["deep"]]
    assert sorted(names) == sorted(str(path) for path in folder.iterdir()), "and nothing outside"
    assert Path(names[0]).stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.text(min_size=1), unique=True, max_size=6), key=st.text())
def test_blob_names_are_safe_and_differ(tmp_path_factory, names, key):
    folder = tmp_path_factory.mktemp("blobs")
    blobs = pickle.loads(pickle.dumps(BlobFolder(folder)))
    files = []
    for name in names:
        save = blobs.save_for(name)
        files += [save(b"x", f"result.{key}")["file"], save(b"x", "result")["file"]]
        files += [save(b"x", "result")["file"]]
    assert len(set(files)) == len(files) == len(list(folder.iterdir()))
    assert all(Path(file).parent == folder for file in files)


def test_the_same_result_takes_the_same_name_again(tmp_path):
    first = BlobFolder(tmp_path).save_for("x")(b"1", "result")["file"]
    assert BlobFolder(tmp_path).save_for("x")(b"2", "result")["file"] == first
    assert (tmp_path / Path(first).name).read_bytes() == b"2"


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        (b"\x89PNG\r\n\x1a\n", ".png"), (b"RIFF\0\0\0\0WEBP", ".webp"),
        (b"RIFF\0\0\0\0WAVE", ".wav"),
        (b"RIFF\0\0\0\0????", ".bin"), (b"GIF89a", ".gif"), (b"%PDF-1", ".pdf"), (b"", ".bin"),
    ],
)  # fmt: skip
def test_the_ending_of_bytes(tmp_path, content, ending):
    assert BlobFolder(tmp_path).save_for("x")(content, "result")["file"].endswith(ending)


def test_a_blob_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        open_writer(tmp_path / "out.jsonl", output_dir=tmp_path / "file") as writer,
        pytest.raises(OutputError, match="cannot be written"),
    ):
        writer.write([Outcome(index=0, id="a", result=b"x")])


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "pipe"])
def test_json_lines_on_a_terminal_hold_nothing_that_it_obeys(stream):
    """Control characters above ASCII and those of direction are escaped; the JSON is the same."""
    hostile = "a\x9b31mb\x7fc\u202ed\x85\u2066e\x1bf"
    with open_writer(None, stream=stream) as writer:
        writer.write([Outcome(index=0, id=hostile, result=[hostile, "caf\u00e9\u00a0\U0001f600"])])
    line = stream.getvalue()
    found = {"id": hostile, "result": [hostile, "caf\u00e9\u00a0\U0001f600"]}
    assert json.loads(line) == found
    assert line.count("\n") == 1
    unsafe = set(line) & set("\x9b\x7f\u202e\x85\u2066")
    assert not unsafe if stream.isatty() else line == json.dumps(found, ensure_ascii=False) + "\n"
    assert "caf\u00e9\u00a0\U0001f600" in line
