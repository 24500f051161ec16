"""Zips with one fault each, beside a sound zip that differs from it as little as possible."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from craft import (
    HANDLER,
    LINK,
    Piece,
    extra,
    manifest_bytes,
    member_bytes,
    pieces,
    zip64_extra,
    zip_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        id: What it is.
        code: The rule that must refuse it.
        bad: Makes the archive with the fault.
        good: Makes its neighbour without.
        suffix: The ending of the file's name.
    """

    id: str
    code: str
    bad: Callable[[], bytes]
    good: Callable[[], bytes]
    suffix: str = ".mar"


def sound() -> bytes:
    return zip_bytes(pieces())


def member(good: Piece, **changes: object) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    """A zip with the member changed, and with the member as it is."""
    bad = replace(good, **changes)
    return (lambda: zip_bytes(pieces(bad))), (lambda: zip_bytes(pieces(good)))


def named(name: str | bytes) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    """A zip with a member of that name, and with one of an ordinary name."""
    return member(Piece(name="data.txt", data=b"1"), name=name)


STORED = Piece(name="data.bin", data=b"0123456789" * 10)
DEFLATED = replace(STORED, deflate=True)
STREAMED = replace(DEFLATED, descriptor=True)
WIDE = replace(STORED, zip64=True)
PACKED = len(DEFLATED.content())
CRC = zlib.crc32(STORED.data)
EVIL = Piece(name="handler.py", data=b"import os\n" * 3)


def _rows() -> list[tuple[str, str, Callable[[], bytes], Callable[[], bytes]]]:
    rows = []

    def row(code, name, bad, good=sound):
        rows.append((name, code, bad, good))

    _framing(row)
    _end_records(row)
    _directory(row)
    _local_headers(row)
    _descriptors(row)
    _features(row)
    _kinds(row)
    _content(row)
    return rows


def _framing(row):
    two = lambda: sound() + zip_bytes([EVIL, *pieces()[1:]])  # noqa: E731
    row("MAR-A002", "empty file", lambda: b"")
    row("MAR-A008", "zip without members", lambda: zip_bytes([]))
    row("MAR-A006", "bytes before", lambda: zip_bytes(pieces(), prefix=b"#!/bin/sh\n"))
    row("MAR-A006", "zeros before", lambda: zip_bytes(pieces(), prefix=bytes(64)))
    row(
        "MAR-A006",
        "bytes before, offsets moved",
        lambda: zip_bytes(pieces(), prefix=b"x" * 9, shift=9),
    )
    row("MAR-A006", "a zip before a zip", two)
    row(
        "MAR-A006",
        "a local header before, offsets moved",
        lambda: zip_bytes(pieces(), prefix=b"PK\x03\x04" + bytes(28), shift=32),
    )
    row("MAR-A007", "one byte behind", lambda: sound() + b"\n")
    row("MAR-A007", "70 KB behind", lambda: sound() + b"x" * 70_000)
    row("MAR-A007", "zeros behind", lambda: sound() + bytes(512))
    row(
        "MAR-A110",
        "bytes between members",
        lambda: zip_bytes(pieces(replace(STORED, before=b"hidden"))),
        lambda: zip_bytes(pieces(STORED)),
    )
    row("MAR-A110", "bytes before the directory", lambda: zip_bytes(pieces(), gap=b"hidden"))
    row(
        "MAR-A110",
        "a member that the directory hides",
        lambda: zip_bytes(pieces(replace(EVIL, listed=False))),
        sound,
    )
    row(
        "MAR-A110",
        "a hidden member at the end",
        lambda: zip_bytes([*pieces(), replace(EVIL, listed=False)]),
        sound,
    )
    row(
        "MAR-A006",
        "a hidden member at the beginning",
        lambda: zip_bytes([replace(EVIL, listed=False), *pieces()]),
        sound,
    )


def _end_records(row):
    wide = lambda **options: lambda: zip_bytes(pieces(), zip64=True, **options)  # noqa: E731
    end = lambda **fields: lambda: zip_bytes(pieces(), end=fields)  # noqa: E731
    row("MAR-A103", "count too small", end(here=1, count=1))
    row("MAR-A103", "count too large", end(here=3, count=3))
    row("MAR-A103", "count zero", end(here=0, count=0))
    row("MAR-A103", "counts differ", end(here=1))
    row("MAR-A103", "disk number", end(disk=1))
    row("MAR-A103", "directory on another disk", end(directory_disk=1))
    row("MAR-A103", "directory's size too large", end(size=5000))
    row("MAR-A103", "directory's size too small", end(size=60))
    row("MAR-A103", "directory's offset beyond the end", end(offset=1 << 20))
    row(
        "MAR-A103",
        "directory's offset too small",
        lambda: zip_bytes(pieces(), end={"offset": 7, "size": 60}),
    )
    fake = zip_bytes([])
    row(
        "MAR-A101",
        "an end record in the comment",
        lambda: zip_bytes(pieces(), comment=fake),
        lambda: zip_bytes(pieces(), comment=b"made by hand"),
    )
    row(
        "MAR-A101",
        "the mark of an end record in the comment",
        lambda: zip_bytes(pieces(), comment=b"PK\x05\x06 is the mark"),
        lambda: zip_bytes(pieces(), comment=b"PK is no mark"),
    )
    row(
        "MAR-A102",
        "comment of 2 KB",
        lambda: zip_bytes(pieces(), comment=b"c" * 2048),
        lambda: zip_bytes(pieces(), comment=b"c" * 1024),
    )
    row("MAR-A104", "zip64 wanted and missing", end(count=0xFFFF, here=0xFFFF), wide())
    row("MAR-A104", "zip64 offset wanted and missing", end(offset=0xFFFFFFFF), wide())
    row("MAR-A104", "zip64 count differs", wide(end64={"count": 3, "here": 3}), wide())
    row("MAR-A104", "zip64 offset differs", wide(end64={"offset": 0}), wide())
    row("MAR-A104", "zip64 size differs", wide(end64={"size": 1}), wide())
    row("MAR-A104", "zip64 counts differ", wide(end64={"here": 1}), wide())
    row("MAR-A104", "zip64 disk", wide(end64={"disk": 1}), wide())
    row("MAR-A104", "zip64 record's length", wide(end64={"length": 45}), wide())
    row("MAR-A104", "zip64 extension", wide(end64={"length": 48, "extension": b"evil"}), wide())
    row("MAR-A104", "zip64 locator points elsewhere", wide(locator={"offset": 0}), wide())
    row("MAR-A104", "zip64 locator counts disks", wide(locator={"disks": 2}), wide())
    row(
        "MAR-A104",
        "zip64 record without its mark",
        wide(end64={"signature": b"PK\x06\x08"}),
        wide(),
    )
    row(
        "MAR-A103",
        "zip64 asks for 2^63 bytes",
        wide(end64={"size": 1 << 63}, end={"size": 0xFFFFFFFF}),
        wide(end={"size": 0xFFFFFFFF}),
    )
    row(
        "MAR-L001",
        "zip64 counts 2^40 members",
        wide(end64={"count": 1 << 40, "here": 1 << 40}, end={"count": 0xFFFF, "here": 0xFFFF}),
        wide(end={"count": 0xFFFF, "here": 0xFFFF}),
    )


def _directory(row):
    def change(code, fault, /, *, good=STORED, **central):
        row(code, fault, *member(good, central=central))

    change("MAR-A105", "no mark of an entry", signature=b"PK\x01\x03")
    change("MAR-A105", "name longer than the directory", name_length=60_000)
    change("MAR-A105", "extra longer than the directory", extra_length=60_000)
    change("MAR-A105", "comment longer than the directory", comment_length=60_000)
    change("MAR-A105", "entry on another disk", disk=2)
    change("MAR-A105", "no name", name=b"")
    change("MAR-A102", "member's comment of 2 KB", comment=b"c" * 2048)
    change("MAR-A102", "end record in a member's comment", comment=zip_bytes([]))
    row(
        "MAR-A105",
        "a signature record in the directory",
        lambda: _spliced(b"PK\x05\x05" + struct.pack("<H", 4) + b"sign"),
        sound,
    )
    row(
        "MAR-A105",
        "the first bytes of an entry in the directory",
        lambda: _spliced(b"PK\x01\x02" + bytes(20)),
        sound,
    )
    change("MAR-A111", "two entries share one place", good=replace(EVIL, name="b.py"), offset=0)
    change("MAR-A110", "entry points behind its header", offset=90)
    change("MAR-A110", "entry points beyond the end", offset=1 << 30)
    reach = {"packed": 140, "size": 140}
    row(
        "MAR-A111", "data reaches over the next member", *member(STORED, local=reach, central=reach)
    )
    row("MAR-A111", "quoted overlap", _quoted_overlap, lambda: zip_bytes(pieces(STORED)))
    change("MAR-A104", "zip64 field missing", size=0xFFFFFFFF)
    change("MAR-A104", "zip64 field empty", good=WIDE, extra=zip64_extra())
    change("MAR-A104", "zip64 field too short", good=WIDE, extra=zip64_extra(100))
    change("MAR-A104", "zip64 field too long", good=WIDE, extra=zip64_extra(100, 100, 0, 0, 0))
    change("MAR-A104", "two zip64 fields", good=WIDE, extra=zip64_extra(100, 100) * 2)
    change("MAR-A104", "zip64 field that nobody asked for disagrees", extra=zip64_extra(7, 7))
    change("MAR-A117", "extra field cut off", extra=b"\x55\x54\xff\x00x")
    change("MAR-A117", "extra field of two bytes", extra=b"\x55\x54")
    change("MAR-A117", "Unicode path field", extra=extra(0x7075, b"\x01" + bytes(4) + b"evil.py"))
    change("MAR-A118", "name in Latin-1", name=b"\xe9.txt", flags=0)
    change("MAR-A118", "name marked as UTF-8 but not so", name=b"\xe9.txt", flags=0x800)
    change("MAR-A112", "name marked as UTF-8 only here", name="é.txt".encode(), flags=0x800)
    change("MAR-A118", "overlong UTF-8", name=b"\xc0\xae\xc0\xae.txt", flags=0x800)
    row("MAR-A105", "directory of 70 MB declared and there", _huge_directory, sound)


def _spliced(record: bytes) -> bytes:
    """A sound zip with one more record at the end of its directory."""
    whole = sound()
    directory, end = whole[:-22], whole[-22:]
    size = struct.unpack_from("<L", end, 12)[0] + len(record)
    return directory + record + end[:12] + struct.pack("<L", size) + end[16:]


def _huge_directory() -> bytes:
    entry = Piece(name="n" * 60_000, central={"extra": extra(0x7777, bytes(60_000))})
    return zip_bytes([entry] * 590)


def _quoted_overlap() -> bytes:
    """The data of one member is another member, header and all, and the directory lists both."""
    inner = Piece(name="inner.bin", data=b"x" * 100)
    outer = Piece(name="outer.bin", data=member_bytes(inner))
    start = len(member_bytes(pieces()[0])) + 30 + len("outer.bin")
    return zip_bytes(pieces(outer, replace(inner, written=False, central={"offset": start})))


def _local_headers(row):
    def change(fault, /, *, code="MAR-A112", good=STORED, **local):
        row(code, f"local {fault}", *member(good, local=local))

    change("name differs", name=b"handler.p2")
    change("name is longer", name=b"data.bin.py")
    change("name differs in case", name=b"Data.bin")
    change("CRC differs", crc=1)
    change("size differs", size=99)
    change("compressed size differs", packed=99)
    change("sizes zero without a descriptor", crc=0, size=0, packed=0)
    change("method differs", method=8)
    change("flags differ", flags=1 << 1)
    change("UTF-8 mark differs", flags=1 << 11)
    change("encryption flag differs", flags=1)
    change("header without its mark", signature=b"PK\x03\x05")
    change("extra too long", code="MAR-A117", extra_length=50)
    change("extra cut off", code="MAR-A117", extra=b"\x55\x54\xff\x00x")
    change("Unicode path", code="MAR-A117", extra=extra(0x7075, b"\x01" + bytes(4) + b"evil.py"))
    change("zip64 of one number", code="MAR-A104", good=WIDE, extra=zip64_extra(100))
    change("zip64 disagrees", good=WIDE, extra=zip64_extra(99, 100))
    change("two zip64 fields", code="MAR-A104", good=WIDE, extra=zip64_extra(100, 100) * 2)
    change("zip64 unasked and wrong", code="MAR-A104", extra=zip64_extra(7, 7))
    row(
        "MAR-A131",
        "stored with two sizes",
        *member(STORED, local={"size": 99}, central={"size": 99}),
    )


def _descriptors(row):
    whole = struct.pack("<3L", CRC, PACKED, 100)
    tails = {
        "CRC": struct.pack("<4s3L", b"PK\x07\x08", 1, PACKED, 100),
        "size": struct.pack("<4s3L", b"PK\x07\x08", CRC, PACKED, 99),
        "compressed size": struct.pack("<4s3L", b"PK\x07\x08", CRC, PACKED + 1, 100),
        "of 64 bits for a small member": b"PK\x07\x08" + struct.pack("<LQQ", CRC, PACKED, 100),
        "cut off": whole[:-1],
        "missing": b"",
    }
    for name, tail in tails.items():
        row("MAR-A113", f"descriptor {name}", *member(STREAMED, tail=tail))
    row("MAR-A110", "descriptor, then more", *member(STREAMED, tail=b"PK\x07\x08" + whole + b"x"))
    row("MAR-A113", "descriptor behind a stored member", *member(STORED, descriptor=True))
    row(
        "MAR-A112",
        "descriptor with a wrong size before",
        *member(STREAMED, local={"size": 99}),
    )


def _features(row):
    def both(code, fault, /, *, good=STORED, **fields):
        row(code, fault, *member(good, local=dict(fields), central=dict(fields)))

    both("MAR-A114", "encrypted", flags=1)
    both("MAR-A114", "strongly encrypted", flags=1 | 1 << 6)
    both("MAR-A114", "encrypted directory", flags=1 << 13)
    both("MAR-A114", "AES field", extra=extra(0x9901, b"\x02\x00AE\x03\x08\x00"))
    both("MAR-A114", "strong encryption field", extra=extra(0x0017, bytes(8)))
    both("MAR-A116", "patch data", flags=1 << 5)
    both("MAR-A116", "enhanced deflating", flags=1 << 4)
    both("MAR-A116", "reserved flag", flags=1 << 14)
    both("MAR-A116", "version 6.3", version=63)
    for number, name in ((1, "shrunk"), (6, "imploded"), (9, "deflate64"), (12, "bzip2"),
                         (14, "LZMA"), (93, "zstd"), (99, "unknown method")):  # fmt: skip
        both("MAR-A115", name, method=number)


def _kinds(row):
    target = Piece(name="link", data=b"/etc/passwd")
    row("MAR-A120", "symbolic link out", *member(target, mode=LINK))
    row(
        "MAR-A120",
        "symbolic link inside",
        *member(Piece(name="link", data=b"handler.py"), mode=LINK),
    )
    row(
        "MAR-A120",
        "link in an extra field",
        *member(target, extra=extra(0x756E, bytes(14) + b"/x")),
    )
    for name, mode in (("device", 0o020644), ("block device", 0o060644), ("pipe", 0o010644),
                       ("socket", 0o140644), ("folder called a file", 0o040755)):  # fmt: skip
        row("MAR-A121", name, *member(target, mode=mode))
    row("MAR-A122", "folder with data", *member(Piece(name="d/"), data=b"12"))


def _content(row):
    def packed(code, name, content, **changes):
        row(code, name, *member(DEFLATED, packed=content, **changes))

    good = DEFLATED.content()
    long = {"local": {"size": 101}, "central": {"size": 101}}
    short = {"local": {"size": 99}, "central": {"size": 99}}
    row("MAR-A130", "stored byte flipped", *member(STORED, packed=b"X" + STORED.data[1:]))
    row(
        "MAR-A130",
        "wrong CRC in both headers",
        *member(STORED, local={"crc": 1}, central={"crc": 1}),
    )
    row(
        "MAR-A130",
        "wrong CRC of an empty member",
        *member(Piece(name="e"), local={"crc": 1}, central={"crc": 1}),
    )
    row("MAR-A131", "size overstated", *member(DEFLATED, **long))
    row("MAR-A131", "size understated", *member(DEFLATED, **short))
    packed("MAR-A131", "bytes hidden behind the deflated data", good + b"hidden")
    packed("MAR-A132", "deflated data cut off", good[:-4])
    packed("MAR-A132", "deflated data damaged", b"\xff" + good[1:])
    packed("MAR-A132", "no deflated data", b"")
    row("MAR-A133", "SHA-256 differs", _digests(b"other"), _digests(STORED.data))
    row(
        "MAR-A134",
        "a member that the manifest does not list",
        _digests(STORED.data, Piece(name="more.txt")),
        _digests(STORED.data),
    )
    row(
        "MAR-A134",
        "a member that is listed and missing",
        _digests(STORED.data, listed=("gone.txt",)),
        _digests(STORED.data),
    )


def _digests(content: bytes, *more: Piece, listed: tuple[str, ...] = ()) -> Callable[[], bytes]:
    import hashlib
    import json

    def digest(data: bytes) -> dict[str, object]:
        return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    data = json.loads(manifest_bytes())
    members = {"handler.py": digest(HANDLER), "data.bin": digest(content)}
    data["mar"] = {"members": {**members, **{name: digest(b"") for name in listed}}}
    manifest = json.dumps(data).encode()
    return lambda: zip_bytes(pieces(STORED, *more, manifest=manifest))


FAULTS = [
    Fault(id=f"zip: {name}", code=code, bad=bad, good=good) for name, code, bad, good in _rows()
]
