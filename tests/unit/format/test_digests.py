"""Members get into an archive as they are, whatever happens to their files meanwhile."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import zlib

import pytest

from mar_core import ArchiveError
from mar_core.format.digests import BUFFERS, FLUSHED, Digests, HashingReader, copy
from mar_core.format.file import CHUNK
from mar_core.format.manifest import Manifest
from mar_core.format.sources import Sources
from mar_core.format.writer import write

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, (BUFFERS + 2) * CHUNK + 7, FLUSHED + 3 * CHUNK + 5]
OFFSET = 4096


@pytest.fixture
def target(tmp_path):
    descriptor = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def digests_by_the_book(data):
    return Digests(len(data), zlib.crc32(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_what_was_read(size, as_file, target, tmp_path):
    data = random.Random(size).randbytes(size)
    (tmp_path / "source").write_bytes(data)
    seen = []
    digests = copy(
        tmp_path / "source" if as_file else data, target, offset=OFFSET, size=size,
        progress=seen.append,
    )  # fmt: skip
    assert digests == digests_by_the_book(data)
    assert os.pread(target, size + 1, OFFSET) == data
    assert sum(seen) == size


@pytest.mark.parametrize("size", [100, CHUNK + 1, 3 * FLUSHED])
@pytest.mark.parametrize("change", ["same size", "longer", "shorter"])
def test_who_writes_to_a_source_meanwhile_is_noticed(change, size, target, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(size))
    os.utime(source, (1, 1))

    def progress(_count):
        with source.open("r+b") as stream:
            stream.truncate({"same size": size, "longer": size + 1, "shorter": size // 2}[change])
            stream.write(b"x")

    with pytest.raises(ArchiveError, match="source changed while it was being read"):
        copy(source, target, offset=0, size=size, progress=progress)


@pytest.mark.parametrize("archive_format", ["default", "tgz", "no-archive"])
@pytest.mark.parametrize("size", [8, 1 << 22])
def test_no_format_is_made_of_a_source_that_changes(size, archive_format, tmp_path):
    source = tmp_path / "weights.bin"
    source.write_bytes(b"x" * (1 << 22))
    os.utime(source, (1, 1))

    def progress(_count):
        with source.open("r+b") as stream:
            stream.truncate(size)
            stream.write(b"new")

    sources = Sources(Manifest({"model": {"modelName": "m"}}), {"weights.bin": source})
    with pytest.raises(ArchiveError, match="changed while it was being read"):
        write(sources, tmp_path / "m", archive_format=archive_format, progress=progress)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]


SHARING = """
import hashlib, os, random, sys
from pathlib import Path

from mar_core.format.manifest import Manifest
from mar_core.format.sources import Sources
from mar_core.format.writer import write

def taken():
    os.sync()
    status = os.statvfs(".")
    return (status.f_blocks - status.f_bfree) * status.f_frsize

data = random.Random(0).randbytes((32 << 20) + 5)
source = Path("weights.bin")
source.write_bytes(data)
before = taken()
manifest = write(
    Sources(
        Manifest({"model": {"modelName": "m", "serializedFile": "weights.bin"}}),
        {"weights.bin": source, "handler.py": b"def handle(data, context): ..."},
    ),
    Path("m.mar"),
)
assert manifest.mar["members"]["weights.bin"]["sha256"] == hashlib.sha256(data).hexdigest()
assert taken() - before < len(data) // 4, taken() - before
source.write_bytes(b"")
assert data in Path("m.mar").read_bytes()
"""
# In a name space of its own, which nothing outlives, whatever becomes of the test.
MOUNTED = 'mount -o loop image mounted || exit 77; cd mounted; exec "$0" -c "$1"'


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_an_archive_shares_the_blocks_of_its_weights(kind, tmp_path):
    make, unshare = shutil.which(f"mkfs.{kind}"), shutil.which("unshare")
    if make is None or unshare is None or os.geteuid() != 0:
        pytest.skip(f"needs root, unshare and mkfs.{kind}")
    with (tmp_path / "image").open("wb") as stream:
        stream.truncate(400 << 20)
    (tmp_path / "mounted").mkdir()
    subprocess.run([make, "-q", "image"], cwd=tmp_path, check=True)
    done = subprocess.run(
        [unshare, "--mount", "sh", "-c", MOUNTED, sys.executable, SHARING],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77 or done.stderr.startswith("unshare"):
        pytest.skip(f"nothing can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("told", [3, 5, CHUNK + 5])
def test_a_source_of_another_size_than_it_was_said_to_have(told, target, tmp_path):
    (tmp_path / "source").write_bytes(b"four")
    with pytest.raises(ArchiveError, match="changed while it was being read"):
        copy(tmp_path / "source", target, offset=0, size=told)
    if told > 4:
        with pytest.raises(ArchiveError, match="changed while it was being read"):
            copy(b"four", target, offset=0, size=told)


def test_a_reader_digests_what_is_read_of_it():
    data, seen = random.Random(1).randbytes(1000), []
    reader = HashingReader(io.BytesIO(data), seen.append)
    assert reader.digests() == digests_by_the_book(b"")
    assert b"".join([reader.read(7), reader.read(0), reader.read(93)]) == data[:100]
    assert reader.digests() == digests_by_the_book(data[:100])
    assert reader.read() == data[100:]
    assert reader.read(1) == b""
    assert reader.digests() == digests_by_the_book(data)
    assert sum(seen) == 1000
