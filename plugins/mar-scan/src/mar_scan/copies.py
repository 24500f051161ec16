"""Bounded copies of members, unpacked where they are compressed, for the scanner to read."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mar_core import MarError, identify
from mar_scan.choose import BZIP2_MARK, GZIP_MARK, PICKLE_MARKS, XZ_MARK, ZLIB_MARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from mar_core import Archive
    from mar_scan.choose import Candidate

__all__ = ["Copies", "File"]

MOST_EACH = 256 << 20
MOST_TOGETHER = 1 << 30
_CHUNK = 1 << 20
_OPENERS: dict[bytes, Callable[[Any], Any]] = {
    GZIP_MARK: gzip.open, BZIP2_MARK: bz2.open, XZ_MARK: lzma.open,
}  # fmt: skip
_DAMAGE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error)


@dataclass(frozen=True, slots=True)
class File:
    """A copy of a member.

    Attributes:
        name: The member's name.
        copy: The name of its copy.
        suffix: The ending that tells the scanner what it is.
        is_pickle: Whether it says itself that it is a pickle, and is there as a whole.
    """

    name: str
    copy: str
    suffix: str
    is_pickle: bool


@dataclass(slots=True)
class Copies:
    """The copies of one archive.

    Attributes:
        folder: Where they are.
        files: What they are.
    """

    folder: Path
    files: list[File] = field(default_factory=list)
    _left: int = MOST_TOGETHER

    def add(self, archive: Archive, candidate: Candidate) -> bool:
        """Copy a member.

        Returns:
            False when it is too large.
        """
        target = self.folder / str(len(self.files))
        with target.open("wb") as copy:
            whole = _copy(archive, candidate, copy, limit=min(self._left, MOST_EACH))
        size = target.stat().st_size
        self._left -= size
        if size:
            self.files.append(_describe(candidate, target, whole=whole))
        return whole


def _copy(archive: Archive, candidate: Candidate, copy: BinaryIO, *, limit: int) -> bool:
    """Copy as far as the member can be read: so much of it would be unpickled."""
    with contextlib.suppress(MarError), archive.open(candidate.name) as stream:
        for chunk in _unpacked(stream, candidate.head):
            room = limit - copy.tell()
            copy.write(chunk[:room])
            if len(chunk) > room:
                return False
    return True


def _describe(candidate: Candidate, copy: Path, *, whole: bool) -> File:
    with copy.open("rb") as stream:
        legacy = identify(stream).name == "torch-legacy"
        stream.seek(0)
        marked = stream.read(2).startswith(PICKLE_MARKS)
    suffix = ".pt" if legacy else candidate.suffix
    is_pickle = whole and (candidate.named or (marked and not legacy))
    return File(candidate.name, copy.name, suffix, is_pickle)


def _unpacked(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    """The bytes of a member, decompressed where it is compressed, as far as they go."""
    opener = next((open_ for mark, open_ in _OPENERS.items() if head.startswith(mark)), None)
    if head.startswith(ZLIB_MARKS):
        yield from _inflated(stream)
    elif opener is None:
        yield from _chunks(stream.read)
    else:
        with opener(stream) as unpacked:
            # read1 gives what there is before it stumbles over the damage behind it.
            yield from _chunks(unpacked.read1)


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    with contextlib.suppress(*_DAMAGE):
        while chunk := read(_CHUNK):
            yield chunk


def _inflated(stream: BinaryIO) -> Iterator[bytes]:
    inflate = zlib.decompressobj()
    with contextlib.suppress(*_DAMAGE):
        while not inflate.eof and (chunk := inflate.unconsumed_tail or stream.read(_CHUNK)):
            yield inflate.decompress(chunk, _CHUNK)
