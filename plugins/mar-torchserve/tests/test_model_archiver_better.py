"""Where torch-model-archiver destroys something, this does not; and its Python interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from argparse import Namespace
from pathlib import Path

import model_archiver
import pytest
from model_archiver import ModelArchiver, ModelArchiverConfig, model_packaging
from model_archiver.arg_parser import ArgParser
from model_archiver.manifest_components.manifest import Manifest, RuntimeType
from model_archiver.manifest_components.model import Model
from model_archiver.model_archiver_error import ModelArchiverError
from model_archiver.model_packaging_utils import (
    ModelExportUtils,
    archiving_options,
    model_handlers,
)

from mar_core import ArchiveError, open_archive

HANDLER = "def handle(data, context):\n    return data\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "handler.py").write_text(HANDLER)
    (tmp_path / "notes.txt").write_text("notes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(**flags):
    return ModelArchiverConfig(
        **{"model_name": "m", "handler": "handler.py", "version": "1"} | flags
    )


def test_the_function_and_the_config(folder):
    ModelArchiver.generate_model_archive(config(export_path=folder, extra_files="notes.txt"))
    with zipfile.ZipFile("m.mar") as made:
        assert sorted(made.namelist()) == ["MAR-INF/MANIFEST.json", "handler.py", "notes.txt"]
        told = json.loads(made.read("MAR-INF/MANIFEST.json"))
    assert list(told) == ["createdOn", "runtime", "model", "archiverVersion"]
    assert told["archiverVersion"] == model_archiver.__version__
    with open_archive("m.mar") as made:
        assert made.read("notes.txt") == b"notes"


def test_the_export_path_is_that_of_the_call(folder):
    (folder / "later").mkdir()
    os.chdir(folder / "later")
    assert config().export_path == str(folder / "later")


def test_from_args_ignores_the_rest():
    flags = dict.fromkeys(ModelArchiverConfig.__dataclass_fields__)
    made = ModelArchiverConfig.from_args(Namespace(**flags | {"model_name": "m"}, other=1))
    assert made.model_name == "m"


def test_the_command_line(folder, monkeypatch):
    words = ["x", "--model-name", "m", "-v", "2", "--handler", "handler.py", "-f"]
    monkeypatch.setattr(sys, "argv", words)
    assert ArgParser.export_model_args_parser() == config(version="2", force=True)
    model_packaging.generate_model_archive()
    assert (folder / "m.mar").exists()


def test_as_a_module(folder):
    words = ["--model-name", "m", "-v", "2", "--handler", "handler.py"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "model_archiver.model_packaging", *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")
    assert (folder / "m.mar").exists()


def test_a_folder_of_the_models_name_in_tmp_is_let_be(folder, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "precious").write_text("mine")
    ModelArchiver.generate_model_archive(config())
    assert (tmp_path / "m" / "precious").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "handler.py",
        "m",
        "m.mar",
        "notes.txt",
    ]


def test_a_failure_leaves_the_old_archive(folder):
    ModelArchiver.generate_model_archive(config())
    before = (folder / "m.mar").read_bytes()
    with pytest.raises(FileNotFoundError):
        ModelArchiver.generate_model_archive(config(force=True, extra_files="nosuch"))
    with pytest.raises(ModelArchiverError, match="already exists"):
        ModelArchiver.generate_model_archive(config())
    assert (folder / "m.mar").read_bytes() == before


def test_files_dated_before_1980(folder):
    os.utime(folder / "notes.txt", (0, 0))
    ModelArchiver.generate_model_archive(config(extra_files="notes.txt"))
    assert (folder / "m.mar").exists()


def test_stale_files_do_not_stay(folder):
    ModelArchiver.generate_model_archive(config(archive_format="no-archive"))
    (folder / "m" / "stale").write_text("")
    ModelArchiver.generate_model_archive(config(archive_format="no-archive", force=True))
    assert not (folder / "m" / "stale").exists()


def test_a_folder_that_is_no_archive_is_left_alone(folder):
    (folder / "m").mkdir()
    (folder / "m" / "mine").write_text("")
    with pytest.raises(ArchiveError, match="holds no archive"):
        ModelArchiver.generate_model_archive(config(archive_format="no-archive", force=True))
    assert (folder / "m" / "mine").exists()


def test_source_date_epoch(folder, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    ModelArchiver.generate_model_archive(config())
    first = (folder / "m.mar").read_bytes()
    ModelArchiver.generate_model_archive(config(force=True))
    assert (folder / "m.mar").read_bytes() == first
    with open_archive("m.mar") as made:
        assert made.manifest.data["createdOn"] == "14/11/2023 22:13:20"


def test_an_archive_that_cannot_be_written_says_so(folder, caplog):
    if not Path("/proc/self").is_dir():
        pytest.skip("no folder that nobody can write to")
    with pytest.raises(OSError):  # noqa: PT011 - which one is the system's affair
        ModelArchiver.generate_model_archive(config(export_path="/proc"))
    assert 'Failed to save the model-archive to model-path "/proc".' in caplog.text


def test_the_tables():
    assert archiving_options == {
        "tgz": ".tar.gz", "no-archive": "", "zip-store": ".mar", "default": ".mar",
    }  # fmt: skip
    assert len(model_handlers) == 8
    assert model_handlers["image_segmenter"] == "vision"


def test_the_helpers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    utils = ModelExportUtils
    assert utils.find_unique(["a.onnx", "b.txt"], ".onnx") == "a.onnx"
    assert utils.find_unique(["b.txt"], ".onnx") is None
    with pytest.raises(
        ModelArchiverError, match=r"only one \.x file in the folder\. Found 2 files"
    ):
        utils.find_unique(["a.x", "b.x"], ".x")
    excluded = {"abc.onnx"}
    names = ("abc.onnx", "a.pyc", ".DS_Store", "a.py")
    assert [name for name in names if utils.file_filter(name, excluded)] == ["a.py"]
    assert "MANIFEST.json" in excluded
    unwanted = {"__pycache__"}
    names = ("__pycache__", ".git", "my-model")
    assert [utils.directory_filter(name, unwanted) for name in names] == [False, False, True]
    utils.make_dir(tmp_path / "d" / "e")
    utils.make_dir(tmp_path / "d" / "e")
    (tmp_path / "t").write_text("")
    utils.clean_temp_files(["t"])
    assert not (tmp_path / "t").exists()
    assert utils.check_mar_already_exists("m", None, False) == str(tmp_path)
    assert utils.get_archive_export_path("p", "m", "tgz") == "p/m.tar.gz"


def test_the_manifest():
    model = Model("m", "a/w.pt", "b/h.py", model_file="c/n.py", extensions={"x": 1})
    manifest = Manifest("LSP", model)
    assert manifest.runtime is RuntimeType.LSP
    told = json.loads(str(manifest))
    assert repr(manifest) == str(manifest)
    assert json.loads(str(model)) == told["model"] == {
        "modelName": "m", "serializedFile": "w.pt", "handler": "h.py", "modelFile": "n.py",
        "extensions": {"x": 1},
    }  # fmt: skip
    with pytest.raises(ValueError, match="java"):
        Manifest("java", model)
