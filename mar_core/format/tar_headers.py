"""The headers of a tar, each taken apart strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["BLOCK", "Header", "parse_header", "parse_long_name", "parse_pax"]

BLOCK = 512
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*\Z")
_RECORD = re.compile(rb"([1-9]\d{0,6}) ([^=]+)=", re.DOTALL)
_USTAR, _GNU, _OLD = b"ustar\x0000", b"ustar  \0", bytes(8)
_MOST_OCTAL = 0o77777777777
# mode, owner, group, time, device numbers
_IGNORED_NUMBERS = ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345))


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One header block.

    Attributes:
        name: The name's bytes, the prefix field put before it.
        size: The bytes of data that follow.
        kind: The type flag, one byte.
    """

    name: bytes
    size: int
    kind: bytes


def parse_header(block: bytes) -> Header:
    """Take one block of 512 bytes apart.

    Raises:
        ValueError: It is no sound header; the message says why.
    """
    if len(block) < BLOCK:
        raise ValueError("it is cut off")
    blank = block[:148] + b" " * 8 + block[156:]
    if _octal(block[148:156], "checksum") != sum(blank):
        raise ValueError("its checksum is wrong")
    magic, prefix = block[257:265], block[345:500]
    if magic not in {_USTAR, _GNU, _OLD}:
        raise ValueError("it is of no known tar format")
    if magic != _USTAR and prefix.strip(b"\0"):
        raise ValueError("it has fields that readers understand differently")
    for start, end in _IGNORED_NUMBERS:  # readers that do not ignore them stop at a bad one
        _number(block[start:end], "field of owner, mode or time")
    name = _text(block[:100])
    if _text(prefix):
        name = _text(prefix) + b"/" + name
    size = _number(block[124:136], "size")
    if size < 0:
        raise ValueError("its size is negative")
    return Header(name=name, size=size, kind=block[156:157])


def parse_long_name(data: bytes) -> bytes:
    """The name that a GNU long-name block holds.

    Raises:
        ValueError: Something stands behind the name.
    """
    name = _text(data)
    if data[len(name) :].strip(b"\0"):
        raise ValueError("something is hidden behind the long name")
    return name


def parse_pax(data: bytes) -> dict[str, str]:
    """The records of an extended header.

    Raises:
        ValueError: A record is damaged, comes twice, or is of a kind that no archive needs.
    """
    records: dict[str, str] = {}
    position = 0
    while position < len(data):
        match = _RECORD.match(data, position)
        end = position + int(match[1]) if match else 0
        if match is None or end > len(data) or end <= match.end() or data[end - 1 : end] != b"\n":
            raise ValueError("an extended header is damaged")
        key = match[2].decode("utf-8", "replace")
        if key in records:
            raise ValueError(f"an extended header has {key!r} twice")
        records[key] = _value(key, data[match.end() : end - 1])
        position = end
    return records


def agreed_size(header: Header, records: dict[str, str]) -> int:
    """The size of a member that an extended header may speak of too.

    Raises:
        ValueError: The two disagree.
    """
    text = records.get("size")
    if text is None:
        return header.size
    if not re.fullmatch(r"\d{1,18}", text):
        raise ValueError("an extended header's size is no number")
    size = int(text)
    too_large_for_octal = size > _MOST_OCTAL and header.size in {0, _MOST_OCTAL}
    if size != header.size and not too_large_for_octal:
        raise ValueError("two headers give the member different sizes")
    return size


def _value(key: str, raw: bytes) -> str:
    if key.startswith("GNU.sparse.") or key == "hdrcharset":
        raise ValueError(f"an extended header has {key!r}, which model archives do not need")
    # Only these two matter; extended attributes may be any bytes.
    return raw.decode("utf-8") if key in {"path", "size"} else raw.decode("utf-8", "replace")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _octal(field: bytes, what: str) -> int:
    match = _OCTAL.match(field)
    if match is None:
        raise ValueError(f"its {what} is no octal number")
    return int(match[1] or b"0", 8)


def _number(field: bytes, what: str) -> int:
    if field.startswith((b"\x80", b"\xff")):  # GNU's binary form, for what octal cannot hold
        return int.from_bytes(field[1:], "big", signed=field.startswith(b"\xff"))
    return _octal(field, what)
