"""What ordinary tools make is taken without a word, and unpacks to the same files everywhere."""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import javareader
import pytest
import tricky
from craft import (
    HANDLER,
    MANIFEST,
    TarPiece,
    gz,
    manifest_bytes,
    pieces,
    tar_bytes,
    tar_pieces,
    tgz_bytes,
    zip_bytes,
)

from mar_core.cache.entries import unpacked
from mar_core.format import open_archive

ARCHIVER = Path(sys.prefix) / "torchserve"


@pytest.fixture
def folder(tmp_path):
    """A model's files, with names of many scripts, an empty file and files in folders."""
    root = tmp_path / "files"
    files = {
        "handler.py": HANDLER,
        "weights.pt": os.urandom(5000),
        "empty.txt": b"",
        "with space, comma.txt": b"1",
        "模型/é.json": b"{}",
        "😀.txt": b"2",
        tricky.LONG: b"3",
        MANIFEST: manifest_bytes(serializedFile="weights.pt"),
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    os.utime(root / "empty.txt", (0, 0))
    return root


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def check(path, expected, tmp_path, codes=frozenset()):
    """It opens without findings, verifies, and unpacks here as in TorchServe."""
    with open_archive(path) as archive:
        assert {found.code for found in archive.findings} == codes
        assert archive.verify() == []
        assert {name: archive.read(name) for name in archive.members} == expected
        assert contents(unpacked(archive)) == expected
    if shutil.which("java"):
        theirs = tmp_path / "torchserve"
        javareader.unpack_by_torchserve(path, theirs)
        assert contents(theirs) == expected


UTF8 = {**os.environ, "LC_ALL": "C.UTF-8"}


# Info-ZIP writes UTF-8 names without their mark; TorchServe reads them all the same.
UNMARKED = {"MAR-A119"}


@pytest.mark.parametrize("flags", ["-r", "-r0", "-r9X", "-rD", "-rfd", "-rfz"])
def test_made_by_zip(flags, folder, tmp_path):
    path = tmp_path / "m.mar"
    if flags == "-rfd":
        (folder / "empty.txt").unlink()  # it would be stored behind a data descriptor
    subprocess.run(["zip", "-q", flags, str(path), "."], cwd=folder, check=True)
    check(path, contents(folder), tmp_path, codes=UNMARKED)


def test_made_by_zip_with_a_comment(folder, tmp_path):
    path = tmp_path / "m.mar"
    subprocess.run(["zip", "-qrz", str(path), "."], cwd=folder, input=b"by hand\n", check=True)
    check(path, contents(folder), tmp_path, codes=UNMARKED)


def test_made_by_zip_into_a_pipe(folder, tmp_path):
    (folder / "empty.txt").unlink()  # it would be stored behind a data descriptor
    path = tmp_path / "m.mar"
    with (
        path.open("wb") as target,
        subprocess.Popen(["zip", "-qr", "-", "."], cwd=folder, stdout=subprocess.PIPE) as process,
    ):
        shutil.copyfileobj(process.stdout, target)
    check(path, contents(folder), tmp_path, codes=UNMARKED)


@javareader.needs_java
def test_made_by_jar(folder, tmp_path):
    for number, flags in enumerate(("cfM", "cfM0")):
        path = tmp_path / f"{number}.mar"
        subprocess.run(["jar", flags, str(path), "."], cwd=folder, check=True)
        check(path, contents(folder), tmp_path)


@javareader.needs_java
def test_made_by_java(folder, tmp_path):
    javareader.pack_by_java(tmp_path / "m.mar", folder)
    check(tmp_path / "m.mar", contents(folder), tmp_path)


class Pipe(io.RawIOBase):
    """A stream that cannot seek, as a socket or a pipe."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


# TorchServe's Java reader cannot read what zipfile stores, or gives 64 bits, in a pipe.
@pytest.mark.parametrize(
    ("target", "force_zip64", "method"),
    [
        ("file", False, zipfile.ZIP_STORED),
        ("file", True, zipfile.ZIP_STORED),
        ("file", False, zipfile.ZIP_DEFLATED),
        ("file", True, zipfile.ZIP_DEFLATED),
        ("pipe", False, zipfile.ZIP_DEFLATED),
    ],
)
def test_made_by_zipfile(target, force_zip64, method, folder, tmp_path):
    sink = Pipe() if target == "pipe" else io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in contents(folder).items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=force_zip64) as stream:
                stream.write(data)
        archive.comment = b"made by a test"
    path = tmp_path / "m.mar"
    path.write_bytes(sink.data if target == "pipe" else sink.getvalue())
    check(path, contents(folder), tmp_path)


@pytest.mark.parametrize("archive_format", ["default", "zip-store", "tgz", "no-archive"])
def test_made_by_torch_model_archiver(archive_format, folder, tmp_path):
    words = {
        "--model-name": "m", "--version": "1.0", "--handler": folder / "handler.py",
        "--serialized-file": folder / "weights.pt", "--export-path": tmp_path,
        "--archive-format": archive_format,
        "--extra-files": ",".join(str(folder / name) for name in ("empty.txt", "模型", "😀.txt")),
    }  # fmt: skip
    os.utime(folder / "empty.txt")
    flat = [str(word) for pair in words.items() for word in pair]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    subprocess.run(
        [sys.executable, "-m", "model_archiver.model_packaging", *flat],
        env={**os.environ, "PYTHONPATH": str(ARCHIVER), "TMPDIR": str(scratch)},
        check=True, capture_output=True,
    )  # fmt: skip
    suffix = {"tgz": ".tar.gz", "no-archive": ""}.get(archive_format, ".mar")
    path = tmp_path / f"m{suffix}"
    with open_archive(path) as archive:
        assert archive.verify() == []
        assert archive.findings == ()
        expected = {
            "handler.py", "weights.pt", "empty.txt", "é.json", "😀.txt", MANIFEST,
        }  # fmt: skip
        assert set(archive.members) == expected
        assert archive.manifest.model_name == "m"
        assert archive.read("weights.pt") == (folder / "weights.pt").read_bytes()
        assert contents(unpacked(archive)).keys() == expected


@pytest.mark.parametrize("prefix", ["m", ".", "another-name"])
@pytest.mark.parametrize("tar_format", ["gnu", "pax", "ustar", "oldgnu", "posix"])
def test_made_by_tar(prefix, tar_format, folder, tmp_path):
    path = tmp_path / "m.tar.gz"
    if tar_format == "ustar":
        shutil.rmtree(folder / "sub" / ("n" * 120))  # too long for this format
    words = ["--transform", f"s,^\\.,{prefix},"] if prefix != "." else []
    subprocess.run(
        ["tar", f"--format={tar_format}", "-czf", str(path), *words, "."],
        cwd=folder, check=True, env=UTF8,
    )  # fmt: skip
    check(path, contents(folder), tmp_path)


@pytest.mark.parametrize(
    "tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT]
)
def test_made_by_tarfile(tar_format, folder, tmp_path):
    if tar_format == tarfile.USTAR_FORMAT:
        shutil.rmtree(folder / "sub" / ("n" * 120))
    path = tmp_path / "m.tar.gz"
    with tarfile.open(path, "w:gz", format=tar_format) as archive:
        archive.add(folder, "m")
    check(path, contents(folder), tmp_path)


@pytest.mark.parametrize("name", tricky.ZIPS)
def test_tricky_zips(name, tmp_path):
    path = tmp_path / "m.mar"
    path.write_bytes(tricky.ZIPS[name])
    with zipfile.ZipFile(path) as archive:
        expected = {n: archive.read(n) for n in archive.namelist() if not n.endswith("/")}
    check(path, expected, tmp_path)


@pytest.mark.parametrize("name", tricky.TARS)
def test_tricky_tars(name, tmp_path):
    path = tmp_path / "m.tar.gz"
    path.write_bytes(tgz_bytes(tar_pieces(*tricky.TARS[name])))
    with tarfile.open(path) as archive:
        expected = {
            member.name.partition("/")[2]: archive.extractfile(member).read()
            for member in archive if member.isreg()
        }  # fmt: skip
    check(path, expected, tmp_path)


@pytest.mark.parametrize("end", [1024, 10_240, 20_480])
def test_tars_with_more_zeros_at_the_end(end, tmp_path):
    path = tmp_path / "m.tar.gz"
    path.write_bytes(tgz_bytes(tar_pieces(), end=bytes(end)))
    check(path, {"handler.py": HANDLER, MANIFEST: manifest_bytes()}, tmp_path)


def test_gzip_with_a_name_and_a_comment_and_a_checksum(tmp_path):
    plain = tar_bytes(tar_pieces())
    head = b"\x1f\x8b\x08\x1a" + bytes(4) + b"\x02\x03" + b"m.tar\0" + b"by hand\0"
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    path = tmp_path / "m.tar.gz"
    path.write_bytes(head + gz(plain)[10:])
    check(path, {"handler.py": HANDLER, MANIFEST: manifest_bytes()}, tmp_path)


@pytest.mark.parametrize("name", ["m.mar", "m.MAR", "m.zip", "m", "sha256-0123"])
def test_a_zip_may_have_any_ending_but_that_of_a_tar(name, tmp_path):
    (tmp_path / name).write_bytes(zip_bytes(pieces()))
    with open_archive(tmp_path / name) as archive:
        assert archive.kind == "zip"


def test_a_tar_is_inflated_once(tmp_path, monkeypatch):
    from mar_core.checks.validation import validate
    from mar_core.format import tar_reader

    inflated = []
    real = tar_reader.Inflater.read

    def counted(self, length):
        data = real(self, length)
        inflated.append(len(data))
        return data

    monkeypatch.setattr(tar_reader.Inflater, "read", counted)
    weights = random.Random(1).randbytes(3 << 20)
    members = tar_pieces(
        TarPiece(name="m/weights.bin", data=weights), TarPiece(name="m/b.bin", data=weights)
    )
    path = tmp_path / "m.tar.gz"
    path.write_bytes(tgz_bytes(members))
    with open_archive(path) as archive:
        assert archive.verify() == []
        validate(archive)
        with archive.open("weights.bin") as first, archive.open("b.bin") as second:
            assert [first.read(1 << 20), second.read(1 << 20)] == [weights[: 1 << 20]] * 2
        folder = unpacked(archive)
    assert (folder / "weights.bin").read_bytes() == weights
    assert sum(inflated) == len(tar_bytes(members))
