"""The user's word: for one command, for a server, or once for an archive or a folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import hostile_pickles
import pytest
from memory_archive import HANDLER, MemoryArchive, archive, files, manifest, write_zip

from mar_core import ArchiveError, UsageError, load, open_archive, validate
from mar_core.checks import trust
from mar_core.testing import make_archive

HOSTILE = hostile_pickles.pickled(hostile_pickles.load("my_package", "Thing"))


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("MAR_TRUST", raising=False)


@pytest.fixture
def path(tmp_path):
    return write_zip(tmp_path / "m.mar", files({"x.pkl": HOSTILE}))


def severities(path):
    with open_archive(path) as archive:
        return [f.severity.value for f in validate(archive) if f.code == "MAR-W003"]


def test_an_archive_is_trusted_by_its_content(path, tmp_path):
    assert severities(path) == ["error"]
    entry = trust.trust(path)
    assert severities(path) == ["warning"]
    copy = tmp_path / "elsewhere.mar"
    shutil.copy(path, copy)
    assert severities(copy) == ["warning"]
    write_zip(path, files({"x.pkl": HOSTILE, "more.txt": b"x"}))
    assert severities(path) == ["error"]
    assert trust.list_trusted() == [entry]
    assert trust.revoke(copy) == entry
    assert trust.list_trusted() == []
    assert severities(copy) == ["error"]


def test_a_folder_is_trusted_by_its_place(path, tmp_path):
    inner = tmp_path / "models" / "deep"
    inner.mkdir(parents=True)
    trust.trust(tmp_path / "models")
    assert severities(path) == ["error"]
    shutil.copy(path, inner / "m.mar")
    assert severities(inner / "m.mar") == ["warning"]
    (tmp_path / "models-not").mkdir()
    shutil.copy(path, tmp_path / "models-not" / "m.mar")
    assert severities(tmp_path / "models-not" / "m.mar") == ["error"]
    trust.revoke(tmp_path / "models")
    assert severities(inner / "m.mar") == ["error"]


def test_an_unpacked_archive_is_an_archive(tmp_path):
    folder = tmp_path / "unpacked"
    for name, content in files({"x.pkl": HOSTILE}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert trust.trust(folder).folder is None
    assert severities(folder) == ["warning"]
    (folder / "handler.py").write_text("import os\n")
    assert severities(folder) == ["error"]


def test_listed_digests_vouch_for_no_other_bytes(tmp_path):
    handler = tmp_path / "handler.py"
    handler.write_bytes(HANDLER)
    path = make_archive(tmp_path, handler=handler, files={"x.pkl": HOSTILE}, allow_pickle=True)
    trust.trust(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
        members = {name: archive.read(name) for name in archive.namelist()}
    assert severities(tmp_path / "unpacked") == ["warning"]
    (tmp_path / "unpacked" / "x.pkl").write_bytes(HOSTILE + b"more")
    assert severities(tmp_path / "unpacked") == ["error"]
    other = write_zip(tmp_path / "other.mar", members | {"x.pkl": HOSTILE + b"more"})
    with open_archive(other) as archive:
        assert trust.is_trusted(archive)  # by what the manifest says of it, so:
        with pytest.raises(ArchiveError, match=r"x\.pkl"):
            archive.read("x.pkl")
    with pytest.raises(ArchiveError, match=r"x\.pkl"):
        load(other)
    short = json.loads(members["MAR-INF/MANIFEST.json"])
    del short["mar"]["members"]["x.pkl"]
    members["MAR-INF/MANIFEST.json"] = json.dumps(short).encode()
    trust.trust(write_zip(path, members))
    assert severities(path) == ["warning"]
    assert severities(write_zip(path, members | {"x.pkl": HOSTILE + b"more"})) == ["error"]


def test_a_server_is_told_by_its_environment(path, monkeypatch):
    for value, severity in (("1", "warning"), ("true", "warning"), ("0", "error"), ("", "error")):
        monkeypatch.setenv("MAR_TRUST", value)
        assert severities(path) == [severity]
    monkeypatch.setenv("MAR_TRUST", "perhaps")
    with pytest.raises(UsageError, match="MAR_TRUST"):
        severities(path)


def test_what_is_no_entry_trusts_nothing(path, tmp_path):
    trust.trust(path)
    (file,) = (tmp_path / "config" / "mar" / "trusted").glob("*.json")
    file.rename(file.with_name("0.json"))
    assert trust.list_trusted() == []
    file.write_text("{}")
    assert trust.list_trusted() == []


def stored(tmp_path, **values):
    """An entry as a file of its own, under the name that belongs to it."""
    key = values.get("digest") or values.get("folder") or ""
    file = tmp_path / "config" / "mar" / "trusted" / f"{hashlib.sha256(key.encode()).hexdigest()}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".json").write_text(json.dumps({"name": "m", "since": "2026", **values}))


def test_entries_that_somebody_wrote(tmp_path):
    stored(tmp_path, digest="0" * 64)
    assert [entry.key for entry in trust.list_trusted()] == ["0" * 64]
    stored(tmp_path, digest="1" * 64, name=1)
    stored(tmp_path, digest=None)
    stored(tmp_path, digest="2" * 64, more="x")
    assert [entry.key for entry in trust.list_trusted()] == ["0" * 64]


def test_an_archive_without_a_place_is_trusted_by_nobody(tmp_path):
    stored(tmp_path, folder="/")
    nowhere = archive({"x.pkl": HOSTILE})
    nowhere.path = None
    assert not trust.is_trusted(nowhere)
    assert trust.is_trusted(nowhere, asked=True)


@pytest.mark.parametrize("digest", ["0" * 63, "0" * 65, 10**63, None, ["0"] * 64])
def test_a_digest_that_is_none_stands_for_no_bytes(tmp_path, digest):
    entry = {"sha256": digest, "size": len(HOSTILE)}
    listed = {"x.pkl": entry, "handler.py": {"sha256": "0" * 64, "size": len(HANDLER)}}
    data = json.loads(manifest())
    data["mar"] = {"members": listed}
    found = set()
    for content in (HOSTILE, HOSTILE + b"x"):
        members = files({"x.pkl": content, "MAR-INF/MANIFEST.json": json.dumps(data).encode()})
        packed = MemoryArchive(members)
        assert packed.kind == "zip"
        found.add(trust.content_digest(packed))
    assert len(found) == 2


def test_a_config_folder_that_cannot_be_written(path, tmp_path):
    (tmp_path / "config").write_text("a file")
    with pytest.raises(ArchiveError, match="cannot be written"):
        trust.trust(path)


def test_what_cannot_be_read_is_not_trusted(path, tmp_path):
    broken = files({"x.pkl": HOSTILE}) | {"MAR-INF/MANIFEST.json": b"{"}
    other = write_zip(tmp_path / "broken.mar", broken)
    assert severities(other) == ["error"]
    trust.trust(path)
    assert severities(other) == ["error"]


def test_revoking_what_is_not_trusted(path, tmp_path):
    with pytest.raises(UsageError, match="is not trusted"):
        trust.revoke(path)
    (tmp_path / "models").mkdir()
    trust.trust(tmp_path / "models")
    digest = trust.trust(path).digest
    for nearly in (digest[:5], "x" + digest[:9], digest[:9] + "x", ""):
        with pytest.raises(UsageError, match="is not trusted"):
            trust.revoke(nearly)
    assert trust.revoke(digest[:6]).digest == digest
    assert [entry.name for entry in trust.list_trusted()] == ["models"]


@pytest.mark.skipif(sys.platform == "win32", reason="each system has its own")
@pytest.mark.parametrize("older", [True, False])
def test_for_a_user_without_a_home_the_folder_where_one_stands_is_no_place(
    path, tmp_path, monkeypatch, older
):
    """As in a container that is run under a user whom it does not know."""
    trust.trust(path)
    planted = tmp_path / "~" / ".config" / "mar"
    shutil.copytree(tmp_path / "config" / "mar", planted)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    if older:  # they give a path that is relative
        monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: Path("~/.config/mar"))
    assert trust.list_trusted() == []
    assert severities(path) == ["error"]
    with pytest.raises(ArchiveError, match="no home folder"):
        trust.trust(path)
    assert len(list((planted / "trusted").iterdir())) == 1


def test_the_loader_has_the_word_too(path):
    trust.trust(path)
    with load(path) as model:
        assert model.context.system_properties["allow_pickle"] is True


def test_the_command(path, tmp_path):
    def mar(*words):
        return subprocess.run([sys.executable, "-m", "mar_core", *words], cwd=tmp_path, text=True,
                              capture_output=True, check=False, env=os.environ)  # fmt: skip

    assert mar("validate", "m.mar").returncode == 2
    done = mar("trust", "m.mar")
    assert done.stdout.startswith("m.mar is trusted: sha256:")
    assert mar("validate", "m.mar").returncode == 0
    assert "m.mar  sha256:" in mar("trust").stdout
    (entry,) = json.loads(mar("trust", "--json").stdout)
    assert mar("trust", "--revoke", entry["digest"][:12]).stdout == "m.mar is trusted no longer.\n"
    assert mar("trust").stdout == "Nothing is trusted.\n"
    assert mar("trust", "nothing.mar").returncode == 2
    assert mar("validate", "m.mar", "--trust").returncode == 0
    assert mar("validate", "m.mar", "--allow-pickle").returncode == 0
