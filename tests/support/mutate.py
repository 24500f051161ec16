"""Sound archives at random, and changes to them that know where the records lie."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from craft import Piece, TarPiece, extra, pieces, tar_pieces, zip_bytes

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["mutated_tar", "mutated_zip", "random_tar", "random_zip"]

EXTRAS = (
    b"",
    extra(0x5455, b"\x01" + bytes(4)),  # times
    extra(0x7875, b"\x01\x04" + bytes(4) + b"\x04" + bytes(4)),  # owners
    extra(0xCAFE),  # Java
    extra(0xD935, bytes(60)),  # padding
    extra(0x000A, bytes(32)),  # NTFS times
)
INTERESTING = (0, 1, 2, 3, 8, 12, 20, 45, 63, 0x7F, 0x80, 0xFF, 0x800, 0x7FFF, 0x8000, 0xFFFF,
               0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
# Where the fields of each record lie: offset and width in bytes.
FIELDS = {
    b"PK\x03\x04": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 2), (14, 4), (18, 4), (22, 4), (26, 2),
                    (28, 2)),
    b"PK\x01\x02": ((4, 2), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2),
                    (32, 2), (34, 2), (36, 2), (38, 4), (42, 4)),
    b"PK\x07\x08": ((4, 4), (8, 4), (12, 4)),
    b"PK\x06\x06": ((4, 4), (8, 4), (16, 4), (20, 4), (24, 4), (32, 4), (40, 4), (48, 4)),
    b"PK\x06\x07": ((4, 4), (8, 4), (16, 4)),
    b"PK\x05\x06": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}  # fmt: skip


def random_zip(rng: random.Random) -> bytes:
    """A sound zip with members of all kinds."""
    more = [_piece(rng, number) for number in range(rng.randint(0, 4))]
    return zip_bytes(
        pieces(*more),
        comment=rng.choice([b"", b"", b"made by hand"]),
        zip64=rng.random() < 0.25,
        order=rng.choice([list, lambda entries: entries[::-1]]),
    )


def _piece(rng: random.Random, number: int) -> Piece:
    deflate = rng.random() < 0.5
    data = rng.choice([b"", b"x", b"text " * 50, bytes(rng.randbytes(rng.randint(1, 300)))])
    if rng.random() < 0.1:
        return Piece(name=f"folder{number}/")
    if rng.random() < 0.1:
        data = zip_bytes(pieces())
    return Piece(
        name=rng.choice(["a{}.py", "sub/b{}.txt", "é{}.txt", "c {}.json"]).format(number),
        data=data,
        deflate=deflate,
        descriptor=rng.choice([False, True, "bare"]) if deflate else False,
        extra=rng.choice(EXTRAS),
        zip64=not deflate and rng.random() < 0.2,
    )


def mutated_zip(rng: random.Random) -> bytes:
    """A zip with one to three changes."""
    data = random_zip(rng)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        data = rng.choice(CHANGES)(rng, data)
    return data


def _set_field(rng: random.Random, data: bytes) -> bytes:
    signature = rng.choice(list(FIELDS))
    places = _places(data, signature)
    if not places:
        return data
    offset, width = rng.choice(FIELDS[signature])
    place = rng.choice(places) + offset
    old = int.from_bytes(data[place : place + width], "little")
    new = rng.choice(
        [rng.choice(INTERESTING), old + 1, old - 1, old ^ (1 << rng.randrange(8 * width))]
    )
    return _replaced(data, place, (new % (1 << (8 * width))).to_bytes(width, "little"))


def _flip_bit(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data))
    return _replaced(data, place, bytes([data[place] ^ (1 << rng.randrange(8))]))


def _cut_out(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice([1, 4, rng.randint(1, 200)]) :] or data


def _put_in(rng: random.Random, data: bytes) -> bytes:
    start = rng.choice([0, len(data), rng.randrange(len(data))])
    return data[:start] + rng.randbytes(rng.randint(1, 30)) + data[start:]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    start, length = rng.randrange(len(data)), rng.randint(1, 200)
    return data[: start + length] + data[start : start + length] + data[start + length :]


def _repeat_record(rng: random.Random, data: bytes) -> bytes:
    places = sorted(place for signature in FIELDS for place in _places(data, signature))
    start = rng.choice(places or [0])
    end = next((place for place in places if place > start), len(data))
    return data[:end] + data[start:end] + data[end:]


def _swap_members(rng: random.Random, data: bytes) -> bytes:
    offsets = [place + 42 for place in _places(data, b"PK\x01\x02")]
    one, other = rng.choice(offsets or [0]), rng.choice(offsets or [0])
    first, second = data[one : one + 4], data[other : other + 4]
    return _replaced(_replaced(data, one, second), other, first)


def _rename(rng: random.Random, data: bytes) -> bytes:
    signature, header = rng.choice([(b"PK\x03\x04", 30), (b"PK\x01\x02", 46)])
    place = rng.choice(_places(data, signature) or [0]) + header
    return _replaced(data, place, rng.choice([b"/", b"\\", b"A", b"\0", b"\xe9", b"."]))


def _grow_extra(rng: random.Random, data: bytes) -> bytes:
    """Give a local header one more extra field, and move all that follows."""
    places = _places(data, b"PK\x03\x04")
    if not places:
        return data
    place = rng.choice(places)
    name, length = struct.unpack_from("<2H", data, place + 26)
    more = rng.choice([*EXTRAS, extra(1, bytes(16)), extra(0x7075, bytes(9))])
    at = place + 30 + name + length
    grown = _replaced(data, place + 28, struct.pack("<H", (length + len(more)) % 65536))
    return _moved(grown[:at] + more + grown[at:], place, len(more))


def _moved(data: bytes, after: int, by: int) -> bytes:
    for central in _places(data, b"PK\x01\x02"):
        offset = struct.unpack_from("<L", data.ljust(central + 46, b"\0"), central + 42)[0]
        if after < offset < 0xFFFFFFFF - by:
            data = _replaced(data, central + 42, struct.pack("<L", offset + by))
    for end in _places(data, b"PK\x05\x06")[-1:]:
        offset = struct.unpack_from("<L", data.ljust(end + 20, b"\0"), end + 16)[0]
        if offset < 0xFFFFFFFF - by:
            data = _replaced(data, end + 16, struct.pack("<L", offset + by))
    return data


CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _set_field, _set_field, _set_field, _set_field, _flip_bit, _flip_bit, _cut_out, _put_in,
    _repeat, _repeat_record, _swap_members, _rename, _grow_extra,
)  # fmt: skip


def random_tar(rng: random.Random) -> bytes:
    """A sound tar, not compressed."""
    more = [
        TarPiece(name=f"m/file{number}", data=rng.randbytes(rng.choice([0, 1, 512, 700])))
        for number in range(rng.randint(0, 3))
    ]
    return b"".join(piece.to_bytes() for piece in tar_pieces(*more)) + bytes(1024)


def mutated_tar(rng: random.Random) -> bytes:
    """A tar with one to three changes; half of them keep the header's checksum true."""
    data = random_tar(rng)
    for _ in range(rng.choice([1, 1, 2, 3])):
        data = rng.choice([_flip_bit, _cut_out, _put_in, _repeat, _set_tar_field])(rng, data)
    return data


def _set_tar_field(rng: random.Random, data: bytes) -> bytes:
    start = 512 * rng.randrange(max(1, len(data) // 512))
    block = bytearray(data[start : start + 512].ljust(512, b"\0"))
    offset, width = rng.choice([(0, 100), (124, 12), (156, 1), (257, 8), (345, 155), (157, 100)])
    block[offset + rng.randrange(width)] = rng.choice(
        [0, 0x20, 0x2F, 0x30, 0x31, 0x37, 0x78, 0x80, 0xFF]
    )
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return data[:start] + bytes(block) + data[start + 512 :]


def _places(data: bytes, signature: bytes) -> list[int]:
    places, place = [], data.find(signature)
    while place != -1:
        places.append(place)
        place = data.find(signature, place + 1)
    return places


def _replaced(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]
