"""Archives that look odd and are sound: every reader takes them, and so must mar."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

from craft import HANDLER, Piece, TarPiece, extra, pax, pieces, zip_bytes

__all__ = ["LONG", "TARS", "ZIPS"]

LONG = "sub/" + "n" * 120 + "/" + "f" * 90 + ".txt"
TEXT = Piece(name="data.txt", data=b"text " * 100, deflate=True)
MARKS = b"PK\x03\x04PK\x01\x02PK\x05\x06PK\x06\x06PK\x06\x07PK\x07\x08"
OLD_MANIFEST = {
    "specificationVersion": "1.0",
    "implementationVersion": "1.0",
    "modelServerVersion": "1.0",
    "runtime": "python",
    "model": {"modelName": "m", "handler": "handler.py"},
}
ONES = Piece(name="a", data=b"1" * 99, deflate=True)


def having(*more: Piece) -> bytes:
    """A sound zip with these members too."""
    return zip_bytes(pieces(*more))


def both(piece: Piece, **fields: object) -> Piece:
    """The member with these fields in both of its headers."""
    return replace(piece, local=fields, central=fields)


def torch_like_zip():
    """What torch.save writes: a zip of stored members behind data descriptors."""
    return zip_bytes(
        [
            Piece(name="archive/data.pkl", data=b"x" * 50, descriptor=True),
            Piece(name="archive/version"),
        ]
    )


ZIPS = {
    "zip64 end records of a small archive": zip_bytes(pieces(TEXT), zip64=True),
    "zip64 with unknown short fields": zip_bytes(
        pieces(TEXT),
        zip64=True,
        end={"count": 0xFFFF, "here": 0xFFFF, "size": 0xFFFFFFFF, "offset": 0xFFFFFFFF},
    ),
    "zip64 sizes of a small member": having(Piece(name="a", data=b"1", zip64=True)),
    "descriptor": having(replace(ONES, descriptor=True)),
    "descriptor without its mark": having(replace(ONES, descriptor="bare")),
    "descriptor of an empty member": having(Piece(name="a", deflate=True, descriptor=True)),
    "descriptor, and all sizes before": having(
        replace(
            ONES,
            descriptor=True,
            local={"crc": zlib.crc32(ONES.data), "size": 99, "packed": len(ONES.content())},
        )
    ),
    "descriptor, and one size before": having(replace(ONES, descriptor=True, local={"size": 99})),
    "the directory in another order": zip_bytes(pieces(TEXT), order=lambda entries: entries[::-1]),
    "a comment": zip_bytes(pieces(TEXT), comment=b"made by hand, 2026"),
    "a comment of 1 KB": zip_bytes(pieces(TEXT), comment=b"c" * 1024),
    "a member's comment": having(Piece(name="a", central={"comment": b"why"})),
    "folders": having(Piece(name="d/"), Piece(name="d/e/"), Piece(name="d/e/f", data=b"1")),
    "a deflated folder": having(Piece(name="d/", deflate=True, descriptor=True)),
    "empty members": having(Piece(name="a"), Piece(name="b", deflate=True)),
    "UTF-8 names": having(Piece(name="模型.txt"), Piece(name="👩\u200d🔬.txt")),
    "ASCII names marked as UTF-8": having(both(Piece(name="a"), flags=0x800)),
    "levels in the flags": having(both(replace(ONES), flags=2)),
    "times, owners, padding": having(
        Piece(
            name="a",
            extra=extra(0x5455, bytes(5)) + extra(0x7875, bytes(11)) + extra(0xD935, bytes(5000)),
        )
    ),
    "times that differ between the headers": having(
        Piece(
            name="a",
            local={"extra": extra(0x5455, b"\x03" + bytes(8))},
            central={"extra": extra(0x5455, b"\x03" + bytes(4))},
        )
    ),
    "made on DOS": having(Piece(name="a", mode=0)),
    "an executable file": having(Piece(name="a.sh", mode=0o100755)),
    "an old version": having(both(Piece(name="a"), version=10)),
    "a zip in a stored member": having(Piece(name="weights.pt", data=torch_like_zip())),
    "a zip in the last member": zip_bytes(
        [*pieces(), Piece(name="weights.pt", data=torch_like_zip())]
    ),
    "an archive in an archive": having(Piece(name="inner.mar", data=zip_bytes(pieces()))),
    "marks of records in the data": having(Piece(name="a", data=MARKS * 3)),
    "no manifest at all": zip_bytes([Piece(name="handler.py", data=HANDLER)]),
    "an old manifest": zip_bytes(pieces(manifest=json.dumps(OLD_MANIFEST).encode())),
    "a wide ratio in a small file": having(Piece(name="zeros", data=bytes(8 << 20), deflate=True)),
}

TARS = {
    "folders": [TarPiece(name="m/d/", kind=b"5"), TarPiece(name="m/d/e", data=b"1")],
    "an old folder": [TarPiece(name="m/d/", kind=b"\0"), TarPiece(name="m/d/e", data=b"1")],
    "an old file": [TarPiece(name="m/a", data=b"1", kind=b"\0", header={"magic": bytes(8)})],
    "a prefix": [TarPiece(name="file", data=b"1", header={"prefix": b"m/some/where"})],
    "GNU's format": [TarPiece(name="m/a", data=b"1", header={"magic": b"ustar  \0"})],
    "GNU's numbers": [
        TarPiece(name="m/a", data=b"1", header={"size": b"\x80" + bytes(10) + b"\x01"})
    ],
    "a time before 1970": [TarPiece(name="m/a", header={"mtime": b"\xff" * 12})],
    "a GNU long name": [
        TarPiece(name="m/cut", data=b"1", before=TarPiece(
            name="././@LongLink", data=f"m/{LONG}\0".encode(), kind=b"L").to_bytes())
    ],
    "a pax name": [TarPiece(name="m/cut", data=b"1", before=pax({"path": f"m/{LONG}é"}))],
    "a pax size": [TarPiece(name="m/a", data=b"1", before=pax({"size": "1"}))],
    "pax times": [TarPiece(name="m/a", before=pax({"mtime": "1.5", "uname": "é"}))],
    "an attribute of any bytes": [
        TarPiece(name="m/a", before=pax({"SCHILY.xattr.user.x": b"\xff\xfe"}))
    ],
    "a pax header for all": [TarPiece(name="m/a", before=pax({"comment": "0" * 40}, kind=b"g"))],
}  # fmt: skip
