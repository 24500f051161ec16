"""Tars and gzip streams with one fault each, beside a sound one."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from craft import TarPiece, gz, pax, tar_bytes, tar_pieces, tgz_bytes
from zipfaults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAULTS"]

PLAIN = TarPiece(name="m/data.bin", data=b"0123456789" * 10)


def sound() -> bytes:
    return tgz_bytes(tar_pieces(PLAIN))


def with_member(piece: TarPiece) -> Callable[[], bytes]:
    return lambda: tgz_bytes(tar_pieces(piece, PLAIN))


def _rows() -> list[tuple[str, str, Callable[[], bytes], Callable[[], bytes]]]:
    rows = []

    def row(code, name, bad, good=sound):
        rows.append((name, code, bad, good))

    _gzip(row)
    _headers(row)
    _extended(row)
    _kinds(row)
    _ends(row)
    return rows


def _gzip(row):
    whole, tar = sound(), tar_bytes(tar_pieces(PLAIN))
    flipped = lambda place: whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]  # noqa: E731
    row("MAR-A201", "gzip CRC", lambda: flipped(len(whole) - 8))
    row("MAR-A201", "gzip length", lambda: flipped(len(whole) - 4))
    row("MAR-A201", "gzip method", lambda: flipped(2))
    row("MAR-A201", "gzip reserved flag", lambda: whole[:3] + b"\x80" + whole[4:])
    row("MAR-A201", "deflated data damaged", lambda: whole[:10] + b"\xff" + whole[11:])
    row("MAR-A005", "cut off in the data", lambda: whole[: len(whole) // 2])
    row("MAR-A005", "cut off in the trailer", lambda: whole[:-3])
    row("MAR-A005", "cut off in the header", lambda: whole[:5])
    row("MAR-A202", "a second gzip stream", lambda: whole + gz(b"more"))
    row("MAR-A202", "two streams that make one tar", lambda: gz(tar[:1024]) + gz(tar[1024:]))
    row("MAR-A202", "a byte behind", lambda: whole + b"\n")
    row("MAR-A202", "zeros behind", lambda: whole + bytes(512))
    # The stream ends where a piece that is read does.
    name = b"n" * ((64 << 10) - len(whole) - 1) + b"\0"
    named = whole[:3] + bytes([whole[3] | 8]) + whole[4:10] + name + whole[10:]
    row("MAR-A202", "a byte behind a whole piece", lambda: named + b"\n", lambda: named)
    row("MAR-A202", "2 MB behind", lambda: whole + b"x" * (2 << 20))
    for level in (0, 9):
        row(
            "MAR-A202",
            f"a second stream, level {level}",
            lambda level=level: gzip.compress(tar_bytes(tar_pieces(PLAIN)), level) + whole,
            lambda level=level: gzip.compress(tar_bytes(tar_pieces(PLAIN)), level),
        )


def _headers(row):
    def change(name, *, code="MAR-A203", **header):
        row(code, name, with_member(TarPiece(name="m/x", header=header)))

    change("checksum wrong", checksum=b"000000\0 ")
    change("checksum no number", checksum=b"garbage!")
    change("owner no number", uid=b"00000 00")
    change("time no number", mtime=b"yesterday")
    change("size no number", size=b"12345678xyz\0")
    change("size negative", size=b"\xff" * 12)
    change("format unknown", magic=b"uster\x0000")
    change("prefix in GNU's format", magic=b"ustar  \0", prefix=b"evil")
    change("prefix in the oldest format", magic=bytes(8), prefix=b"evil")
    change("size too large for what follows", code="MAR-A203", size=b"00000000100\0")
    row("MAR-A005", "member's data cut off", lambda: gz(tar_bytes(tar_pieces(PLAIN))[:-1200]))
    row(
        "MAR-A203",
        "header cut off",
        lambda: gz(tar_bytes(tar_pieces(PLAIN), end=b"")[: -600 - 512 + 100]),
    )
    row(
        "MAR-A205",
        "name not UTF-8",
        with_member(TarPiece(name=b"m/\xe9.txt")),
        with_member(TarPiece(name="m/é.txt")),
    )
    row(
        "MAR-A122",
        "folder with data",
        with_member(TarPiece(name="m/d/", data=b"12", kind=b"5")),
        with_member(TarPiece(name="m/d/", kind=b"5")),
    )
    row("MAR-A121", "file called a folder", with_member(TarPiece(name="m/d/", data=b"12")))


def _extended(row):
    def change(name, bad, good=None, *, code="MAR-A205", data=b"1"):
        good = pax({"path": "m/y"}) if good is None else good
        row(
            code,
            name,
            with_member(TarPiece(name="m/x", data=data, before=bad)),
            with_member(TarPiece(name="m/x", data=data, before=good)),
        )

    change("pax size larger", pax({"size": "513"}), pax({"size": "1"}))
    change("pax size smaller", pax({"size": "0"}), pax({"size": "1"}))
    change("pax size no number", pax({"size": "-1"}), pax({"size": "1"}))
    change("pax size of 5,000 digits", pax({"size": "1" * 5000}), pax({"size": "1"}))
    change("pax record too long", pax({}, raw=b"99 path=m/y\n"))
    change("pax record too short", pax({}, raw=b"8 path=m/y\n"))
    change("pax record of length zero", pax({}, raw=b"0 path=m/y\n"))
    change("pax record without a newline", pax({}, raw=b"12 path=m/yx"))
    change("pax record of no length", pax({}, raw=b"path=m/y\n"))
    change("pax record twice", pax({}, raw=b"12 path=m/y\n12 path=m/z\n"))
    change("pax path not UTF-8", pax({"path": b"m/\xe9"}))
    change("pax character set", pax({"hdrcharset": "BINARY", "path": "m/y"}))
    change("pax sparse file", pax({"GNU.sparse.major": "1", "path": "m/y"}))
    change("pax of 65 KB", pax({"comment": "c" * (65 << 10)}), pax({"comment": "c" * (60 << 10)}))
    change("two pax headers", pax({"path": "m/y"}) + pax({"path": "m/z"}))
    change("pax and a long name", pax({"path": "m/y"}) + _long_name(b"m/z\0"))
    change("long name with more behind", _long_name(b"m/z\0evil\0"), _long_name(b"m/z\0"))
    change("long name of 65 KB", _long_name(b"m/" + b"n" * (65 << 10)), _long_name(b"m/z\0"))
    change("pax for all renames", pax({"path": "m/y"}, kind=b"g"), pax({"comment": "1"}, kind=b"g"))
    change("pax for all resizes", pax({"size": "0"}, kind=b"g"), pax({"comment": "1"}, kind=b"g"))
    change("pax badly padded", _badly_padded(), pax({"path": "m/y"}))
    row(
        "MAR-A205",
        "pax describes nothing",
        lambda: tgz_bytes([*tar_pieces(PLAIN)], end=pax({"path": "m/y"}) + bytes(1024)),
    )
    for_all = pax({"comment": "1"}, kind=b"g")
    row(
        "MAR-L001",
        "20,000 headers for all",
        lambda: tgz_bytes(tar_pieces(PLAIN), end=for_all * 20_000 + bytes(1024)),
    )


def _long_name(data: bytes) -> bytes:
    return TarPiece(name="././@LongLink", data=data, kind=b"L").to_bytes()


def _badly_padded() -> bytes:
    whole = pax({"path": "m/y"})
    return whole[:-4] + b"evil"


def _kinds(row):
    target = {"link": b"/etc/passwd"}
    for kind, name, code in (
        (b"1", "hard link", "MAR-A120"), (b"2", "symbolic link", "MAR-A120"),
        (b"3", "character device", "MAR-A121"), (b"4", "block device", "MAR-A121"),
        (b"6", "pipe", "MAR-A121"), (b"7", "contiguous file", "MAR-A121"),
        (b"S", "sparse file", "MAR-A121"), (b"D", "dumped folder", "MAR-A121"),
        (b"M", "continued file", "MAR-A121"), (b"V", "volume label", "MAR-A121"),
        (b"K", "long link", "MAR-A120"), (b"Z", "unknown kind", "MAR-A121"),
    ):  # fmt: skip
        row(
            code,
            name,
            with_member(TarPiece(name="m/x", kind=kind, header=dict(target))),
            with_member(TarPiece(name="m/x")),
        )
    row(
        "MAR-A205",
        "old file called a folder by a pax header",
        with_member(TarPiece(name="m/x", kind=b"\0", before=pax({"path": "m/d/"}))),
        with_member(TarPiece(name="m/x", kind=b"\0", before=pax({"path": "m/d"}))),
    )
    row(
        "MAR-A120",
        "link inside",
        with_member(TarPiece(name="m/x", kind=b"2", header={"link": b"handler.py"})),
    )


def _ends(row):
    ends = {
        "no end": b"",
        "half an end": bytes(512),
        "one block, then a member": bytes(512) + PLAIN.to_bytes() + bytes(1024),
        "a second tar behind": bytes(1024) + tar_bytes(tar_pieces()),
        "text behind": bytes(10_240) + b"x",
    }
    for name, end in ends.items():
        row("MAR-A204", name, lambda end=end: tgz_bytes(tar_pieces(PLAIN), end=end))
    row("MAR-A008", "no members", lambda: tgz_bytes([]))
    row("MAR-A008", "a folder only", lambda: tgz_bytes([TarPiece(name="m/", kind=b"5")]))
    row("MAR-A005", "not finished", _unfinished)


def _unfinished() -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return deflater.compress(tar_bytes(tar_pieces(PLAIN))) + deflater.flush(zlib.Z_SYNC_FLUSH)


FAULTS = [
    Fault(id=f"tar: {name}", code=code, bad=bad, good=good, suffix=".tar.gz")
    for name, code, bad, good in _rows()
]
