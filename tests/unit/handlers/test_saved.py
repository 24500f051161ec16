"""A model's files are looked at in a folder as in an archive, and never outside of it."""

from __future__ import annotations

import json

import pytest

from mar_core import ModelError, SavedFiles, archive, open_archive

INDEX = {"weight_map": {"a": "part-2", "b": "part-1", "c": "part-2"}}


@pytest.fixture(params=["folder", "archive"])
def saved(request, tmp_path):
    """The files of a model, in either."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name, text in {
        "config.json": '{"a": 1}', "list.json": "[1]", "none.json": "{", "deep.json": "[" * 100_000,
        "pytorch_model.bin.index.json": json.dumps(INDEX), "model.safetensors.index.json": "{}",
        "vocab.txt": "a",
    }.items():  # fmt: skip
        (folder / name).write_text(text)
    with (folder / "large.json").open("wb") as stream:
        stream.truncate(SavedFiles.LARGEST + 1)
    (tmp_path / "outside.json").write_text("{}")
    if request.param == "folder":
        yield SavedFiles.in_folder(folder)
        return
    (tmp_path / "h.py").write_text("def handle(data, context): ...\n")
    path = archive(
        "m", handler=str(tmp_path / "h.py"), extra_files=sorted(folder.iterdir()),
        export_path=tmp_path,
    )  # fmt: skip
    with open_archive(path) as opened:
        yield SavedFiles.in_archive(opened)


def test_what_is_there(saved):
    assert "config.json" in saved
    for name in ("", "nothing", "../outside.json", "/etc/hostname", "a\0b", "."):
        assert name not in saved
    assert saved.first(saved.TOKENIZERS) == "vocab.txt"
    assert saved.weights is None
    assert saved.index == "model.safetensors.index.json"


def test_what_files_hold(saved):
    assert saved.json("config.json") == {"a": 1}
    assert saved.parsed("list.json") == [1]
    assert saved.parts("pytorch_model.bin.index.json") == ("part-1", "part-2")
    for name, said in {
        "list.json": "list.json holds no JSON object.",
        "none.json": "none.json is not valid JSON: Expecting",
        "deep.json": "deep.json is not valid JSON: ",
        "large.json": "large.json has more than 67,108,864 bytes.",
    }.items():
        with pytest.raises(ModelError) as refused:
            saved.json(name)
        assert refused.value.message.startswith(said)
    with pytest.raises(ModelError, match="does not say where the weights are"):
        saved.parts("model.safetensors.index.json")
