"""What is read where it lies is compared with its checksums, once for each file as it is."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile

import pytest
from cacheplace import own_cache
from memory_archive import HANDLER, MANIFEST, files, manifest, write_zip
from packs import weights

from mar_core import ValidationError, archive, open_archive
from mar_core.cache import verified

NAME = "m.safetensors"


@pytest.fixture
def root(tmp_path, monkeypatch):
    with own_cache(tmp_path, monkeypatch) as place:
        yield place.parent


@pytest.fixture
def made(tmp_path, root):
    (tmp_path / "handler.py").write_bytes(HANDLER)
    return archive(
        "m", handler=tmp_path / "handler.py", version="1", export_path=tmp_path,
        serialized_file=weights(tmp_path / NAME, 3 << 20),
    )  # fmt: skip


def verify(path, name=NAME):
    with open_archive(path) as opened:
        verified.verify(opened, name)


def records(root):
    folder = root / "verified-1"
    return sorted(record.name for record in folder.iterdir()) if folder.exists() else []


def flipped(path):
    """Change a byte in the midst of the weights, and set the times back."""
    before = path.stat()
    with open_archive(path) as opened:
        member = opened.members[NAME]
    with path.open("r+b") as file:
        file.seek(member.offset + member.size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_is_compared_once_for_each_member(made, root, monkeypatch):
    verify(made)
    (first,) = records(root)
    record = root / "verified-1" / first
    assert record.stat().st_mode & 0o777 == 0o600
    assert record.parent.stat().st_mode & 0o777 == 0o700
    with monkeypatch.context() as patched:
        patched.setattr(verified, "_has_its_digest", None)  # it would be called
        verify(made)
    verify(made, "handler.py")  # which is deflated
    assert len(records(root)) == 2
    verified.forget(root)
    assert records(root) == []


def test_a_file_that_was_changed_is_compared_again(made, root):
    verify(made)
    flipped(made)
    for _ in range(2):
        with pytest.raises(ValidationError, match=NAME):
            verify(made)
    assert len(records(root)) == 1  # of what it was


@pytest.mark.parametrize("listed", [True, False])
def test_a_member_that_is_deflated_or_has_no_digest_is_compared_too(tmp_path, root, listed):
    (tmp_path / "handler.py").write_bytes(HANDLER)
    (tmp_path / "x.txt").write_bytes(b"ab" * 99_999)
    if listed:
        path = archive("m", handler=tmp_path / "handler.py", version="1", export_path=tmp_path,
                       extra_files=[tmp_path / "x.txt"])  # fmt: skip
    else:
        path = write_zip(tmp_path / "m.mar", files({"x.txt": b"ab" * 99_999}))
    with open_archive(path) as opened:
        assert opened.members["x.txt"].offset is None
        assert bool(opened.sha256_of("x.txt")) == listed
    verify(path, "x.txt")
    assert len(records(root)) == 1
    with zipfile.ZipFile(path) as packed:
        start = packed.getinfo("x.txt").header_offset
    raw = path.read_bytes()
    place = start + 30 + sum(struct.unpack_from("<2H", raw, start + 26)) + 5  # within the data
    path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
    with pytest.raises(ValidationError, match=r"x\.txt"):
        verify(path, "x.txt")


def test_what_is_written_while_it_is_read_is_not_vouched_for(made, root, monkeypatch):
    real = verified._has_its_digest

    def meanwhile(archive, name):
        found = real(archive, name)
        flipped(made)
        return found

    monkeypatch.setattr(verified, "_has_its_digest", meanwhile)
    verify(made)
    assert records(root) == []


def test_what_one_manifest_vouches_for_no_other_does(tmp_path, root):
    """The file is written anew, in place, between the reading of its manifest and of its member."""
    data, path = b"weights", tmp_path / "m.mar"

    def content(digest):
        listed = {"x.bin": {"sha256": digest}}
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(
                MANIFEST, json.dumps({**json.loads(manifest()), "mar": {"members": listed}})
            )
            packed.writestr("x.bin", data)
        return path.read_bytes()

    other, sound = content("0" * 64), content(hashlib.sha256(data).hexdigest())
    assert len(other) == len(sound)
    with open_archive(path) as opened:
        assert opened.sha256_of("x.bin")
        path.write_bytes(other)
        verified.verify(opened, "x.bin")
    with pytest.raises(ValidationError, match=r"x\.bin"):
        verify(path, "x.bin")


def test_where_no_record_can_be_kept_it_is_compared_each_time(made, root):
    (root / "verified-1").parent.mkdir(exist_ok=True)
    (root / "verified-1").write_text("a file")
    verify(made)
    flipped(made)
    with pytest.raises(ValidationError):
        verify(made)


def test_the_oldest_records_go(made, root, monkeypatch):
    monkeypatch.setattr(verified, "_MOST", 2)
    monkeypatch.setattr(verified._prune, "__kwdefaults__", {"most": 2})
    folder = root / "verified-1"
    verify(made)
    (kept,) = records(root)
    for age, name in enumerate("abc"):
        (folder / name).touch()
        os.utime(folder / name, (age, age))
    verify(made, "handler.py")
    assert len(records(root)) == 2
    assert kept in records(root)
