"""The order of an archive's members, and which of them are deflated."""

from __future__ import annotations

import calendar
import os
import time
import zlib
from typing import TYPE_CHECKING

from mar_core.errors import ArchiveError, UsageError
from mar_core.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "LARGE",
    "created_on",
    "deflated",
    "epoch",
    "is_deflated",
    "is_text",
    "ordered",
    "packer",
    "zip_date",
]

LARGE = 1 << 20
# Deflating is for text that is held in memory; larger texts are stored like weights.
DEFLATE_LIMIT = 16 << 20
SAMPLE = 8192
EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
# The first moment that a zip can express: 1 January 1980.
FIRST_SECOND = calendar.timegm((1980, 1, 1, 0, 0, 0))
LAST_SECOND = calendar.timegm((2107, 12, 31, 23, 59, 58))


def ordered(sizes: dict[str, int], serialized: str | None) -> list[str]:
    """The members in the order of the archive: what seldom changes first, the manifest last.

    Args:
        sizes: Each member's size in bytes.
        serialized: The member that holds the weights, or None.
    """

    def place(name: str) -> tuple[int, str]:
        if name == MANIFEST_NAME:
            return 3, name
        if name == serialized:
            return 0, name
        return (1 if sizes[name] >= LARGE else 2), name

    return sorted(sizes, key=place)


def is_text(sample: bytes) -> bool:
    """Whether a file that begins like this is text: UTF-8 without control characters."""
    try:
        sample[:SAMPLE].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < min(len(sample), SAMPLE) - 3:  # not a character cut off at the end
            return False
    return not set(sample[:SAMPLE]) & _CONTROLS


def epoch() -> int:
    """The one time that an archive carries, in seconds since 1970.

    Raises:
        UsageError: ``SOURCE_DATE_EPOCH`` is set and is no number of seconds.
    """
    text = os.environ.get(EPOCH_VARIABLE)
    if text is None:
        return FIRST_SECOND
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{EPOCH_VARIABLE} is {text!r}, which is no number of seconds since 1970.")
    return min(max(int(text), FIRST_SECOND), LAST_SECOND)


def created_on() -> str:
    """``createdOn`` of the manifest, in UTC and in torch-model-archiver's layout."""
    return time.strftime("%d/%m/%Y %H:%M:%S", time.gmtime(epoch()))


def zip_date() -> int:
    """The same moment in DOS's packing, ``date << 16 | time``."""
    moment = time.gmtime(epoch())
    date = (moment.tm_year - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
    return date << 16 | moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2


_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\v\x1b")


def is_deflated(source: Path, size: int) -> bool:
    """Whether a file is worth deflating: text that is not too long to be held in memory."""
    if size > DEFLATE_LIMIT:
        return False
    try:
        with source.open("rb") as stream:
            return is_text(stream.read(SAMPLE))
    except OSError as error:
        raise ArchiveError(f"{source} cannot be read: {error.strerror}.") from error


def deflated(data: bytes) -> bytes:
    """Deflate in memory."""
    packed = packer()
    return packed.compress(data) + packed.flush()


def packer() -> zlib._Compress:
    """A raw deflate stream that gives the same bytes with every zlib there is.

    What zlib and zlib-ng make of the same text differs between the two, and between versions and
    processors, wherever they search for matches. Run lengths and Huffman codes leave no choice.
    """
    return zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
