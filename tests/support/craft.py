"""Archives put together record by record, so that each record can be wrong on its own.

``zip_bytes`` and ``tar_bytes`` make sound archives when nothing is overridden. Every field of every
record can be: ``Piece(..., local={"crc": 0})`` lies in the local header only.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "HANDLER",
    "LINK",
    "MANIFEST",
    "Piece",
    "TarPiece",
    "extra",
    "gz",
    "manifest_bytes",
    "member_bytes",
    "pax",
    "pieces",
    "tar_bytes",
    "tar_pieces",
    "tgz_bytes",
    "zip64_extra",
    "zip_bytes",
]

MANIFEST = "MAR-INF/MANIFEST.json"
HANDLER = b"def handle(data, context):\n    return data\n"
LINK = 0o120777
_FILE, _FOLDER = 0o100644, 0o040755


def manifest_bytes(**model: Any) -> bytes:
    """A manifest as torch-model-archiver writes it; keywords replace keys of ``model``."""
    told = {"modelName": "m", "handler": "handler.py", "modelVersion": "1.0", **model}
    data = {"createdOn": "22/11/2026 06:45:27", "runtime": "python", "model": told}
    return json.dumps({**data, "archiverVersion": "0.12.0"}, indent=2).encode()


@dataclass(kw_only=True)
class Piece:
    """One member of a zip.

    Attributes:
        name: Its name; bytes are taken as they are.
        data: Its content.
        deflate: Whether to deflate it.
        descriptor: Whether sizes follow the data; ``"bare"`` without the signature.
        packed: The bytes in the file, in place of those made from ``data``.
        mode: The Unix mode in the directory, or None for a file or a folder.
        extra: Extra fields of both headers.
        local: Fields of the local header to replace, ``extra`` and ``name`` among them.
        central: Fields of the directory's entry to replace.
        tail: The data descriptor's bytes, in place of the true ones.
        before: Bytes that belong to nobody, before the local header.
        listed: Whether the directory has it.
        written: Whether the file has it.
        zip64: Whether its sizes are given by zip64 fields, small as they are.
    """

    name: str | bytes
    data: bytes = b""
    deflate: bool = False
    descriptor: bool | str = False
    packed: bytes | None = None
    mode: int | None = None
    extra: bytes = b""
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)
    tail: bytes | None = None
    before: bytes = b""
    listed: bool = True
    written: bool = True
    zip64: bool = False

    @property
    def raw_name(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode()

    def content(self) -> bytes:
        """The bytes that stand in the file."""
        if self.packed is not None:
            return self.packed
        return _deflate(self.data) if self.deflate else self.data

    def fields(self) -> dict[str, Any]:
        """What both headers say when neither lies."""
        flags = 0 if self.raw_name.isascii() else 1 << 11
        return {
            "version": 45 if self.zip64 else 20,
            "flags": flags | (8 if self.descriptor else 0),
            "method": 8 if self.deflate else 0,
            "time": 0,
            "date": 33,
            "crc": zlib.crc32(self.data),
            "packed": len(self.content()),
            "size": len(self.data),
            "name": self.raw_name,
            "extra": self.extra,
        }


def pieces(*more: Piece, handler: bytes = HANDLER, manifest: bytes | None = None) -> list[Piece]:
    """The members of a small sound archive, then more, then the manifest."""
    return [
        Piece(name="handler.py", data=handler, deflate=True),
        *more,
        Piece(name=MANIFEST, data=manifest_bytes() if manifest is None else manifest, deflate=True),
    ]


def extra(kind: int, data: bytes = b"") -> bytes:
    """One extra field."""
    return struct.pack("<HH", kind, len(data)) + data


def zip64_extra(*values: int) -> bytes:
    """A zip64 extra field with these numbers."""
    return extra(1, struct.pack(f"<{len(values)}Q", *values))


def zip_bytes(
    members: Iterable[Piece],
    *,
    prefix: bytes = b"",
    gap: bytes = b"",
    comment: bytes = b"",
    suffix: bytes = b"",
    shift: int = 0,
    zip64: bool = False,
    end: Mapping[str, Any] = {},
    end64: Mapping[str, Any] = {},
    locator: Mapping[str, Any] = {},
    order: Callable[[list[bytes]], list[bytes]] = list,
) -> bytes:
    """A zip.

    Args:
        members: Its members in the order of the file.
        prefix: Bytes before everything.
        gap: Bytes between the last member and the directory.
        comment: The archive's comment.
        suffix: Bytes behind everything.
        shift: Added to every offset, as a tool does that knows of the prefix.
        zip64: Whether to write zip64 end records.
        end: Fields of the end record to replace.
        end64: Fields of the zip64 end record to replace.
        locator: Fields of the zip64 locator to replace.
        order: Puts the directory's entries in another order.
    """
    body, entries = bytearray(), []
    for piece in members:
        body += piece.before
        if piece.listed:
            entries.append(_central(piece, len(body) + shift))
        body += member_bytes(piece) if piece.written else b""
    body += gap
    directory = b"".join(order(entries))
    told = {"count": len(entries), "size": len(directory), "offset": len(body) + shift}
    records = _end64(told, len(body) + len(directory) + shift, end64, locator) if zip64 else b""
    return prefix + bytes(body) + directory + records + _end(told, comment, end) + suffix


def member_bytes(piece: Piece) -> bytes:
    """A member as it stands in the file: its header, its data, its descriptor."""
    return _local(piece) + piece.content() + _descriptor(piece)


def _local(piece: Piece) -> bytes:
    told = piece.fields()
    if piece.descriptor:
        told.update(crc=0, packed=0, size=0)
    if piece.zip64:
        told["extra"] += zip64_extra(told["size"], told["packed"])
        told.update(packed=0xFFFFFFFF, size=0xFFFFFFFF)
    told.update(piece.local)
    name = told["name"]
    return (
        struct.pack(
            "<4s5H3L2H",
            told.get("signature", b"PK\x03\x04"),
            *(told[key] for key in ("version", "flags", "method", "time", "date")),
            *(told[key] for key in ("crc", "packed", "size")),
            told.get("name_length", len(name)),
            told.get("extra_length", len(told["extra"])),
        )
        + name
        + told["extra"]
    )


def _central(piece: Piece, offset: int) -> bytes:
    folder = piece.raw_name.endswith(b"/")
    mode = piece.mode if piece.mode is not None else (_FOLDER if folder else _FILE)
    told = {**piece.fields(), "offset": offset, "attributes": mode << 16, "comment": b""}
    if piece.zip64:
        told["extra"] += zip64_extra(told["size"], told["packed"])
        told.update(packed=0xFFFFFFFF, size=0xFFFFFFFF)
    told.update(piece.central)
    return (
        struct.pack(
            "<4s6H3L5H2L",
            told.get("signature", b"PK\x01\x02"),
            0x0314,
            *(told[key] for key in ("version", "flags", "method", "time", "date")),
            *(told[key] for key in ("crc", "packed", "size")),
            told.get("name_length", len(told["name"])),
            told.get("extra_length", len(told["extra"])),
            told.get("comment_length", len(told["comment"])),
            told.get("disk", 0),
            0,
            told["attributes"],
            told["offset"],
        )
        + told["name"]
        + told["extra"]
        + told["comment"]
    )


def _descriptor(piece: Piece) -> bytes:
    if piece.tail is not None:
        return piece.tail
    if not piece.descriptor:
        return b""
    signature = b"" if piece.descriptor == "bare" else b"PK\x07\x08"
    sizes = (zlib.crc32(piece.data), len(piece.content()), len(piece.data))
    return signature + struct.pack("<3L", *sizes)


def _end64(
    told: dict[str, int], offset: int, end64: Mapping[str, Any], locator: Mapping[str, Any]
) -> bytes:
    record = {
        "signature": b"PK\x06\x06", "length": 44, "made": 45, "version": 45, "disk": 0,
        "directory_disk": 0, "here": told["count"], **told, **end64,
    }  # fmt: skip
    pointer = {"signature": b"PK\x06\x07", "disk": 0, "offset": offset, "disks": 1, **locator}
    keys = ("length", "made", "version", "disk", "directory_disk", "here", "count", "size")
    return (
        record["signature"]
        + struct.pack("<Q2H2L4Q", *(record[key] for key in keys), record["offset"])
        + record.get("extension", b"")
        + struct.pack("<4sLQL", *(pointer[key] for key in ("signature", "disk", "offset", "disks")))
    )


def _end(told: dict[str, int], comment: bytes, end: Mapping[str, Any]) -> bytes:
    record = {"disk": 0, "directory_disk": 0, "here": told["count"], **told, **end}
    keys = ("disk", "directory_disk", "here", "count", "size", "offset")
    length = record.get("comment_length", len(comment))
    fixed = struct.pack("<4s4H2LH", b"PK\x05\x06", *(record[key] for key in keys), length)
    return fixed + comment


def _deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


@dataclass(kw_only=True)
class TarPiece:
    """One member of a tar.

    Attributes:
        name: Its whole name; bytes are taken as they are.
        data: Its content.
        kind: The type flag.
        before: Whole headers that stand before its own, such as ``pax(...)``.
        header: Fields of the header to replace: bytes, padded with zeros.
    """

    name: str | bytes
    data: bytes = b""
    kind: bytes = b"0"
    before: bytes = b""
    header: dict[str, bytes] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        name = self.name if isinstance(self.name, bytes) else self.name.encode()
        told = {
            "name": name, "mode": b"0000644\0", "uid": b"0000000\0", "gid": b"0000000\0",
            "size": b"%011o\0" % len(self.data), "mtime": b"00000000000\0", "checksum": b" " * 8,
            "kind": self.kind, "link": b"", "magic": b"ustar\00000", "user": b"", "group": b"",
            "major": b"0000000\0", "minor": b"0000000\0", "prefix": b"", **self.header,
        }  # fmt: skip
        block = b"".join(told[key].ljust(width, b"\0") for key, width in _TAR_FIELDS).ljust(
            512, b"\0"
        )
        if "checksum" not in self.header:
            block = block[:148] + b"%06o\0 " % sum(block) + block[156:]
        return self.before + block + self.data + bytes(-len(self.data) % 512)


_TAR_FIELDS = (
    ("name", 100), ("mode", 8), ("uid", 8), ("gid", 8), ("size", 12), ("mtime", 12),
    ("checksum", 8), ("kind", 1), ("link", 100), ("magic", 8), ("user", 32), ("group", 32),
    ("major", 8), ("minor", 8), ("prefix", 155),
)  # fmt: skip


def pax(
    records: Mapping[str, str | bytes], *, kind: bytes = b"x", raw: bytes | None = None
) -> bytes:
    """An extended header: its own block and its records; ``raw`` replaces the records' bytes."""
    data = raw
    if data is None:
        data = b"".join(_pax_record(key, value) for key, value in records.items())
    return TarPiece(name="PaxHeaders/x", data=data, kind=kind).to_bytes()


def _pax_record(key: str, value: str | bytes) -> bytes:
    tail = (
        b" " + key.encode() + b"=" + (value if isinstance(value, bytes) else value.encode()) + b"\n"
    )
    length = len(tail)
    while len(b"%d" % length) + len(tail) != length:
        length = len(b"%d" % length) + len(tail)
    return b"%d" % length + tail


def tar_pieces(*more: TarPiece, folder: str = "m") -> list[TarPiece]:
    """The members of a small sound tar, then more."""
    return [
        TarPiece(name=f"{folder}/handler.py", data=HANDLER),
        TarPiece(name=f"{folder}/{MANIFEST}", data=manifest_bytes()),
        *more,
    ]


def tar_bytes(members: Iterable[TarPiece], *, end: bytes = bytes(1024)) -> bytes:
    """A tar that is not compressed."""
    return b"".join(member.to_bytes() for member in members) + end


def gz(data: bytes) -> bytes:
    """One gzip stream with no time and no name in it."""
    return gzip.compress(data, mtime=0)


def tgz_bytes(members: Iterable[TarPiece], *, end: bytes = bytes(1024)) -> bytes:
    """A ``.tar.gz``."""
    return gz(tar_bytes(members, end=end))
