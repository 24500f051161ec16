"""Files that are a tar and something else: whoever opens them as the other finds nothing new."""

from __future__ import annotations

import io
import itertools
import pickle
import struct
import tarfile
import zipfile
import zlib

import hostile_pickles
import pytest
from memory_archive import archive

from mar_core import Severity
from mar_core.checks.rules import mar_validate_archive as check
from mar_core.checks.trust import TRUST_CODES
from mar_core.weights import examine

HOSTILE = hostile_pickles.pickled(hostile_pickles.load("os", "system", "true"))
NAME, SUM = slice(0, 100), slice(148, 156)


def tarred(payload: bytes) -> bytearray:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as target:
        for name, content in (("x" * 99, b"first"), ("model.pkl", payload)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    return bytearray(stream.getvalue())


def summed(data: bytearray) -> bytes:
    """The tar with the checksum of its first header as it must be."""
    data[SUM] = b" " * 8
    data[SUM] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def as_array(payload: bytes) -> bytes:
    data = tarred(payload)
    for _ in range(2):  # the length of the header decides on the shape in it
        begin = data.index(b"}") + 1 if b"}" in data[NAME] else 80
        header = b"{'descr':'|u1','fortran_order':False,'shape':(%d,)}" % (len(data) - begin)
        head = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header
        data[: len(head)] = head
    return summed(data)


def as_pickle(payload: bytes) -> bytes:
    data = tarred(payload)
    data[:7] = b"\x80\4B" + struct.pack("<I", len(data) - 7)
    return summed(data) + b"."


def as_gzip(payload: bytes) -> bytes:
    data = tarred(payload)
    data[:12] = b"\x1f\x8b\x08\x04" + bytes(4) + b"\0\xff" + struct.pack("<H", len(data) - 12)
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    end = struct.pack("<II", zlib.crc32(b"hello"), 5)
    return summed(data) + machine.compress(b"hello") + machine.flush() + end


def record(crc: int, size: int) -> bytes:
    return struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, crc, size, size, 1, 0) + b"x"


def as_zip(payload: bytes, *, inner: bytes = b"") -> bytes:
    """A tar that is the one record of a zip, but for the record's own head, or has one behind."""
    data, begin = tarred(payload), 31
    size = len(data) - begin
    for more, told in itertools.product(range(256), range(8_000, 24_000)):
        # The zip's checksum is of what the tar's is in, and that is of what the zip's is in.
        data[300], data[SUM] = more, b"%06o\0 " % told
        data[:begin] = record(zlib.crc32(data[begin:]), size)
        if sum(data[:512]) - sum(data[SUM]) + 8 * ord(" ") == told:
            break
    crc = zlib.crc32(data[begin:])
    stream = io.BytesIO()
    entry = zipfile.ZipInfo("x")
    entry.CRC, entry.file_size, entry.compress_size, entry.header_offset = crc, size, size, 0
    stream.write(data)
    with zipfile.ZipFile(stream, "a") as target:
        if inner:
            target.writestr(zipfile.ZipInfo("y"), inner)
        target.filelist.insert(0, entry)
        target._didModify = True
    return stream.getvalue()


def needs_trust(data: bytes) -> bool:
    found = [f for f in check(archive({"x.bin": data})) if f.severity is Severity.ERROR]
    assert {f.code for f in found} <= TRUST_CODES
    return bool(found)


def test_the_files_are_what_they_pretend_to_be():
    import gzip

    import numpy as np

    assert np.load(io.BytesIO(as_array(b"1"))).dtype == "u1"
    assert type(pickle.loads(as_pickle(b"1"))) is bytes
    assert gzip.decompress(as_gzip(b"1")) == b"hello"
    with zipfile.ZipFile(io.BytesIO(as_zip(b"1", inner=b"2"))) as read:
        assert read.testzip() is None
        assert read.read("y") == b"2"


@pytest.mark.parametrize("make", [as_array, as_pickle, as_gzip, as_zip])
def test_what_is_a_tar_too_is_looked_at_as_one(make):
    with tarfile.open(fileobj=io.BytesIO(make(HOSTILE))) as read:
        assert read.extractfile("model.pkl").read() == HOSTILE
    assert needs_trust(make(HOSTILE))
    assert not needs_trust(make(pickle.dumps([1])))


def test_a_tar_that_is_a_zip_too_is_looked_at_as_one():
    assert needs_trust(as_zip(b"1", inner=HOSTILE))
    assert not needs_trust(as_zip(b"1", inner=pickle.dumps([1])))
    assert examine(io.BytesIO(as_zip(b"1"))).format.name == "tar"
