"""Which members are deflated, and how: so that every machine gets the same bytes."""

from __future__ import annotations

import codecs
import zlib
from typing import TYPE_CHECKING

from mar_core.format.sources import open_content, size_of

if TYPE_CHECKING:
    from mar_core.format.sources import Content

__all__ = ["deflated", "is_text", "packer"]

# A text is deflated in memory; one that is longer is stored.
LIMIT = 16 << 20
SAMPLE = 8192
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\v\x1b")


def is_text(content: Content) -> bool:
    """Whether a member is worth deflating: UTF-8 without control characters, and not too long.

    Raises:
        ArchiveError: It cannot be read.
    """
    if size_of(content) > LIMIT:
        return False
    with open_content(content) as stream:
        sample = stream.read(SAMPLE)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return not _CONTROLS & set(sample)


def deflated(data: bytes) -> bytes:
    """The data, deflated in one go."""
    packed = packer()
    return packed.compress(data) + packed.flush()


def packer() -> zlib._Compress:
    """A raw deflate stream that gives the same bytes with every zlib there is.

    What zlib and zlib-ng make of the same text differs between the two, and between versions and
    processors, wherever they search for matches. Run lengths and Huffman codes leave no choice.
    """
    return zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
