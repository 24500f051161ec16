"""``mar archive --from``, ``--convert`` and ``--dry-run`` as users type them."""

from __future__ import annotations

import warnings

import pytest
import torch
from packs import mar_here

from mar_core import UsageError, ValidationError, open_archive


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and what people have
        program = torch.jit.trace(torch.nn.Linear(3, 2).eval(), torch.ones(1, 3))
        torch.jit.save(program, str(tmp_path / "traced.pt"))
    (tmp_path / "net.py").write_text(
        "import torch\n\n\nclass Net(torch.nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(3, 2)\n"
    )
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "weights.bin")
    return tmp_path


def test_weights_with_their_network_need_no_flag(folder, capsys):
    mar_here("archive", "--from", "traced.pt")
    told = capsys.readouterr()
    assert told.out.startswith("traced.mar  ")
    assert "traced.pt are the weights, with their network" in told.err
    with open_archive("traced.mar") as archive:
        assert archive.manifest.handler == "base_handler"
        assert archive.manifest.model_version == "1.0"


def test_a_dry_run_says_what_and_why_and_writes_nothing(folder, capsys):
    before = sorted(folder.iterdir())
    mar_here("archive", "--from", "traced.pt", "--dry-run", "--model-name", "m", "-v", "2")
    told = capsys.readouterr()
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert lines[0] == "source TorchScript"
    assert "model m 2" in lines
    assert "writes m.mar" in lines
    assert any(line.startswith("files ") and line.endswith(" traced.pt") for line in lines)
    assert told.err == ""
    assert sorted(folder.iterdir()) == before


def test_a_dry_run_shows_the_plan_where_the_archive_is_there_already(folder, capsys):
    (folder / "traced.mar").write_bytes(b"mine")
    mar_here("archive", "--from", "traced.pt", "--dry-run")
    assert "writes    traced.mar, which exists: add --force\n" in capsys.readouterr().out
    mar_here("archive", "--from", "traced.pt", "--dry-run", "--force")
    assert "writes    traced.mar\n" in capsys.readouterr().out
    assert (folder / "traced.mar").read_bytes() == b"mine"


def test_a_dry_run_of_what_would_be_refused(folder, capsys):
    torch.save(torch.nn.Linear(3, 2), "whole.pt")
    words = ("--model-name", "m", "-v", "1", "--handler", "base_handler")
    with pytest.raises(ValidationError, match="--trust"):
        mar_here("archive", *words, "--serialized-file", "whole.pt", "--dry-run")


def test_convert_without_a_source(folder, capsys):
    words = ("--model-name", "m", "-v", "1", "--handler", "base_handler", "--quiet")
    weights = ("--serialized-file", "weights.bin", "--model-file", "net.py")
    mar_here("archive", *words, *weights, "--convert", "safetensors")
    assert capsys.readouterr().out == ""
    with open_archive("m.mar") as archive:
        assert archive.manifest.serialized_file == "weights.safetensors"
        assert "weights.bin" not in archive.members
    with pytest.raises(UsageError, match="--convert needs weights"):
        mar_here("archive", *words, "--force", "--convert", "safetensors")


def test_the_same_source_gives_the_same_bytes(folder, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    words = ("--model-name", "m", "-v", "1", "--handler", "base_handler", "--quiet")
    weights = ("--serialized-file", "weights.bin", "--model-file", "net.py")
    made = []
    for place in ("one", "two"):
        mar_here("archive", *words, *weights, "--convert", "safetensors", "--export-path", place)
        made.append((folder / place / "m.mar").read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--from nowhere", "There is no file or folder 'nowhere'. Check --from."),
        ("--from net.py", "No importer knows net.py."),
        ("--from .", "No importer knows ."),
        ("--dry-run", "Missing options --model-name, --handler and --version."),
        ("--from traced.pt --convert safetensors", "traced.pt is TorchScript, not a state dict."),
        ("--from traced.pt --convert onnx", "Invalid value for '--convert'"),
        ("--from traced.pt --model-name a/b", "The model name 'a/b' is not allowed."),
    ],
)
def test_what_makes_no_sense_is_a_sentence(folder, words, sentence):
    with pytest.raises(UsageError) as caught:
        mar_here("archive", *words.split())
    assert str(caught.value).startswith(sentence)
