"""What ``--from`` takes for a source, what it refuses, and what the model is called then."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from craft import TarPiece, tar_bytes, tgz_bytes
from packs import HANDLER

from mar_core import ArchiveRequest, Imported, UsageError, ValidationError, hookimpl
from mar_core.build.importing import default_name, requested
from mar_core.testing import plugin

ASKED = ArchiveRequest(model_name="", handler="")


class Sees:
    """Takes every folder with a ``code/inference.py``, and notes what it saw."""

    def __init__(self):
        self.files = None

    @hookimpl
    def mar_import(self, source, request):
        if not (source / "code" / "inference.py").is_file():
            return None
        self.files = {
            path.relative_to(source).as_posix(): path.read_bytes()
            for path in source.rglob("*")
            if path.is_file()
        }
        return Imported(what="a test", request=request)


@pytest.fixture
def sees():
    with plugin(Sees()) as seen:
        yield seen


def read(source: Path) -> None:
    with requested(ArchiveRequest(model_name="", handler="own"), source=source) as made:
        assert made.what == "a test"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("bert-base", "bert-base"),
        ("my model (v2)", "my_model_v2_"),
        ("_hidden", "hidden"),
        ("模型", "model"),
        ("model.tar.gz", "model"),
        ("resnet.v1.pt", "resnet.v1"),
        ("models--org--tiny-gpt2/snapshots/0a1b2c", "tiny-gpt2"),
    ],
)
def test_the_name_is_that_of_the_source_made_valid(tmp_path, path, name):
    source = tmp_path / path
    source.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix in {".gz", ".pt"}:
        source.write_bytes(b"")
    else:
        source.mkdir()
    assert default_name(source) == name


def test_the_name_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_name(Path()) == re.sub(r"[^\w.-]+", "_", tmp_path.name)


@pytest.mark.parametrize("root", ["", "./", "my-model/"], ids=["root", "dot", "folder"])
def test_a_tar_is_a_folder_wherever_its_members_lie(tmp_path, sees, root):
    members = [
        *([TarPiece(name=root, kind=b"5")] if root else []),
        TarPiece(name=f"{root}code/inference.py", data=HANDLER.encode()),
        TarPiece(name=f"{root}model.pth", data=b"weights"),
        TarPiece(name=f"{root}._model.pth", data=b"macOS"),
    ]
    path = tmp_path / "model.tar.gz"
    path.write_bytes(tgz_bytes(members))
    read(path)
    assert sees.files == {"code/inference.py": HANDLER.encode(), "model.pth": b"weights"}


INFERENCE = TarPiece(name="code/inference.py", data=b"")
BOMB = TarPiece(name="model.pth", data=bytes(2 << 20))


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ([TarPiece(name="../evil.py", data=b"x")], "MAR-N001"),
        ([TarPiece(name="./../evil.py", data=b"x")], "MAR-N001"),
        ([TarPiece(name="/etc/evil", data=b"x")], "MAR-N001"),
        ([TarPiece(name="code", kind=b"2", header={"link": b"/etc"})], "MAR-A120"),
        ([TarPiece(name="a", kind=b"1", header={"link": b"code/inference.py"})], "MAR-A120"),
        ([TarPiece(name="pipe", kind=b"6")], "MAR-A121"),
        ([TarPiece(name="./code/inference.py", data=b"other")], "MAR-N008"),
        ([TarPiece(name="code/inference.py/x", data=b"other")], "MAR-N010"),
        ([BOMB], "MAR-L002"),
    ],
    ids=["up", "dot-up", "absolute", "symlink", "hardlink", "pipe", "twice", "below", "bomb"],
)
def test_a_hostile_tar_is_refused_and_leaves_nothing(tmp_path, sees, monkeypatch, pieces, code):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(tgz_bytes([INFERENCE, *pieces]))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("MAR_MAX_SIZE", "1M")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with pytest.raises(ValidationError, match=code):
        read(path)
    assert sees.files is None
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "evil.py").exists()


def test_a_tar_that_is_cut_off_or_no_tar(tmp_path, sees):
    whole = tgz_bytes([INFERENCE])
    path = tmp_path / "model.tar.gz"
    for content in (whole[:-9], whole[:40], whole + b"more", b"\x1f\x8b"):
        path.write_bytes(content)
        with pytest.raises(ValidationError):
            read(path)


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "model"
    (source / "code").mkdir(parents=True)
    (source / "code" / "inference.py").write_text(HANDLER)
    return source


def test_a_link_out_of_the_folder_is_refused(folder, sees, tmp_path):
    (tmp_path / "secret").write_text("key")
    (folder / "data").symlink_to(tmp_path / "secret")
    with pytest.raises(ValidationError, match="leads out of the folder"):
        read(folder)
    (folder / "data").unlink()
    (folder / "data").symlink_to(folder / "code" / "inference.py")
    read(folder)
    assert sees.files["data"] == HANDLER.encode()


def test_the_links_of_hugging_faces_cache_are_taken(tmp_path, sees):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "1f"
    (snapshot / "code").mkdir(parents=True)
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir()
    (blobs / "77").write_text(HANDLER)
    (snapshot / "code" / "inference.py").symlink_to(Path("../../../blobs/77"))
    read(snapshot)


def test_what_is_no_file_is_refused(folder, sees):
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        read(folder)


def test_a_folder_of_too_many_files_is_refused(folder, sees, monkeypatch):
    from mar_core.build import importing
    from mar_core.format.limits import Limits

    monkeypatch.setattr(importing, "DEFAULT_LIMITS", Limits(max_members=3))
    for name in "abc":
        (folder / name).write_bytes(b"")
    with pytest.raises(ValidationError, match="MAR-L001"):
        read(folder)


@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_is_no_source(tmp_path, folder, packed):
    (folder / "MAR-INF").mkdir()
    (folder / "MAR-INF" / "MANIFEST.json").write_text("{}")
    source = folder
    if packed:
        source = tmp_path / "model.tgz"
        source.write_bytes(tgz_bytes([TarPiece(name="m/MAR-INF/MANIFEST.json", data=b"{}")]))
    with (
        pytest.raises(UsageError, match="a model archive already"),
        requested(ASKED, source=source),
    ):
        pass


def test_a_file_that_cannot_be_read_is_no_fault_of_the_plugin(folder):
    class Reads:
        @hookimpl
        def mar_import(self, source):
            return (source / ("x" * 300)).read_bytes()

    with plugin(Reads()), pytest.raises(UsageError, match=r"File name too long: .*/x+$"):
        read(folder)


def test_a_source_that_nobody_knows_is_told_with_what_would(folder):
    with pytest.raises(UsageError) as caught, requested(ASKED, source=folder.parent):
        pass
    assert str(folder.parent) in str(caught.value)
    assert "name the parts yourself" in str(caught.value)


def test_a_plain_tar_is_no_source(tmp_path, sees):
    path = tmp_path / "model.tar"
    path.write_bytes(tar_bytes([INFERENCE]))
    with pytest.raises(UsageError, match="No importer knows"):
        read(path)
