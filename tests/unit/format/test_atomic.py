"""What replaces a file is a file of its kind: its mode, and behind the link that led to it."""

from __future__ import annotations

import stat

import pytest

from mar_core import ArchiveError, archive, open_archive, write_archive
from mar_core.format import atomic

HANDLER = "def handle(data, context):\n    return data\n"
FORMATS = {"default": "m.mar", "zip-store": "m.mar", "tgz": "m.tar.gz", "no-archive": "m"}


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "handler.py").write_text(HANDLER)

    def make(version, archive_format="default"):
        return archive("m", handler="handler.py", version=version, force=version != "1",
                       archive_format=archive_format)  # fmt: skip

    return make


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("archive_format", FORMATS)
def test_its_mode_stays(make, archive_format, nameless, monkeypatch):
    if not nameless:
        monkeypatch.setattr(atomic, "_open_unnamed", lambda _: None)
    made = make("1", archive_format)
    wanted = 0o750 if made.is_dir() else 0o640
    made.chmod(wanted)
    assert mode(make("2", archive_format)) == wanted
    with open_archive(made) as opened:
        assert opened.manifest.model_version == "2"


def test_what_is_new_has_the_mode_of_new_files(make, tmp_path):
    (tmp_path / "plain").touch()
    assert mode(make("1")) == mode(tmp_path / "plain")


@pytest.mark.parametrize("archive_format", FORMATS)
def test_a_link_is_written_through(make, tmp_path, archive_format):
    made = make("1", archive_format)
    store = tmp_path / "store"
    store.mkdir()
    real = made.rename(store / made.name)
    made.symlink_to(f"store/{made.name}")
    make("2", archive_format)
    assert made.is_symlink()
    with open_archive(real) as opened:
        assert opened.manifest.model_version == "2"
    assert [path.name for path in store.iterdir()] == [made.name]


def test_a_link_to_nothing_yet(make, tmp_path):
    (tmp_path / "m.mar").symlink_to("store.mar")
    make("2")
    assert (tmp_path / "m.mar").is_symlink()
    assert (tmp_path / "store.mar").is_file()


def test_without_force_a_link_is_a_place_that_is_taken(make, tmp_path):
    (tmp_path / "m.mar").symlink_to("store.mar")
    with pytest.raises(ArchiveError, match="exists already"):
        make("1")
    assert not (tmp_path / "store.mar").exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_leftovers_are_removed_and_other_files_are_not(make, tmp_path, kind):
    left = tmp_path / ".m.mar.0123abcd.mar-partial"
    others = [tmp_path / name for name in ("m.mar-partial", ".mar-partial", ".x.0123.mar-partial")]
    for path in others:
        path.touch()
    if kind == "file":
        left.touch()
    else:
        (left / "MAR-INF").mkdir(parents=True)
    make("1")
    assert not left.exists()
    assert all(path.exists() for path in others)


def test_what_somebody_is_writing_is_no_leftover(make, tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_open_unnamed", lambda _: None)
    with atomic.new_file(tmp_path / "a.mar", force=False, needed=0) as partial:
        make("1")
        assert partial.path.exists()
    with atomic.new_folder(tmp_path / "b", force=False, needed=0) as folder:
        make("2")
        assert folder.is_dir()
    assert (tmp_path / "a.mar").exists()
    assert (tmp_path / "b").is_dir()


def test_a_file_that_was_written_to_meanwhile_is_not_replaced(make, tmp_path):
    made = make("1")
    before = made.stat()
    made.write_bytes(made.read_bytes() + b"more")
    with (
        pytest.raises(ArchiveError, match="changed by somebody else"),
        atomic.new_file(made, force=True, needed=0, instead_of=before),
    ):
        pass
    assert made.read_bytes().endswith(b"more")


def test_tools_keep_modes_and_links_too(make, tmp_path):
    made = make("1")
    made.chmod(0o600)
    with open_archive(made) as opened:
        manifest = opened.manifest
    write_archive(manifest, {"handler.py": HANDLER.encode()}, made, force=True)
    assert mode(made) == 0o600
