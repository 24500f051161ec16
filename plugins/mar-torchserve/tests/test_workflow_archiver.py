"""``torch-workflow-archiver``: the same command lines, the same members, nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest
from workflow_archiver.workflow_packaging import generate_workflow_archive

SPEC = "models:\n  m1:\n    url: a.mar\ndag:\n  pre: [m1]\n"
HANDLER = "def pre(data, context):\n    return data\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a specification, a handler and two more files; commands run in it."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "functions.py").write_text(HANDLER)
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def archive(monkeypatch, *words):
    given = ["--workflow-name", "flow", "--spec-file", "spec.yaml", "--handler", "functions.py"]
    monkeypatch.setattr(sys, "argv", ["torch-workflow-archiver", *given, *words])
    generate_workflow_archive()


def test_an_archive_holds_the_files_and_a_manifest_with_torchserves_keys(folder, monkeypatch):
    archive(monkeypatch, "--extra-files", "a.json,b.json")
    with zipfile.ZipFile(folder / "flow.war") as made:
        names = sorted(made.namelist())
        manifest = json.loads(made.read("WAR-INF/MANIFEST.json"))
        assert made.read("functions.py").decode() == HANDLER
    assert names == ["WAR-INF/MANIFEST.json", "a.json", "b.json", "functions.py", "spec.yaml"]
    assert list(manifest) == ["createdOn", "workflow", "archiverVersion"]
    assert manifest["workflow"] == {
        "workflowName": "flow", "specFile": "spec.yaml", "handler": "functions.py",
    }  # fmt: skip
    assert manifest["archiverVersion"] == "0.2.15"


def test_an_archive_that_is_there_stays_without_force(folder, monkeypatch, caplog):
    (folder / "flow.war").write_text("mine")
    with pytest.raises(SystemExit) as caught:
        archive(monkeypatch)
    assert caught.value.code == 1
    assert "Please specify --force/-f option to overwrite" in caplog.text
    assert (folder / "flow.war").read_text() == "mine"
    archive(monkeypatch, "--force")
    assert zipfile.is_zipfile(folder / "flow.war")


@pytest.mark.parametrize("name", ["", "_x", "a b", "a/b", "ä"])
def test_a_name_with_other_characters_is_refused(folder, monkeypatch, caplog, name):
    with pytest.raises(SystemExit) as caught:
        archive(monkeypatch, "--workflow-name", name)
    assert caught.value.code == 1
    assert "special characters" in caplog.text
    assert not list(folder.glob("*.war"))


def test_a_missing_file_leaves_nothing(folder, monkeypatch):
    with pytest.raises(FileNotFoundError):
        archive(monkeypatch, "--extra-files", "nowhere.json")
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.json", "b.json", "functions.py", "spec.yaml",
    ]  # fmt: skip


def test_a_workflow_of_models_alone_needs_no_handler(folder, monkeypatch):
    words = ["--workflow-name", "plain", "--spec-file", "spec.yaml"]
    monkeypatch.setattr(sys, "argv", ["torch-workflow-archiver", *words])
    generate_workflow_archive()
    with zipfile.ZipFile(folder / "plain.war") as made:
        manifest = json.loads(made.read("WAR-INF/MANIFEST.json"))
    assert manifest["workflow"]["handler"] == ""


def test_the_command_is_installed(folder):
    command = [sys.executable, "-P", "-m", "workflow_archiver.workflow_packaging", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--spec-file" in shown.stdout
