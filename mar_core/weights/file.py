"""A weights file as the formats look at it: its beginning, its zip's records, parts of it."""

from __future__ import annotations

import functools
import io
import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from mar_core.errors import ModelError
from mar_core.weights.cost import Allowance
from mar_core.weights.zipindex import ZipEntry, data_start, read_directory, read_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.weights.cost import Budget
    from mar_core.weights.pickles import PickleReport
    from mar_core.weights.weights_format import WeightsFormat

__all__ = ["WeightsFile", "seekable", "window"]

_HEAD = 512
_IN_MEMORY = 8 << 20
_CHUNK = 1 << 20
_RECORD = 2048  # what reading one record of a zip's directory costs, in bytes read
_LOOK = 8192  # what it costs to tell what one file is


class WeightsFile:
    """A file that is looked at, by its bytes alone.

    Args:
        stream: The file, seekable.
        budget: What looking at it may cost.
        formats: The formats that it may be of; None stands for those that are known here.
        depth: How many other files it lies in.

    Attributes:
        stream: The same; read it at any place and leave it anywhere.
        budget: The same.
        formats: The same.
        depth: The same.
        size: Its length in bytes.
        head: Its first 512 bytes.
        zip_fault: Why it is no exact zip; None where it is one, or does not begin as one.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        budget: Budget | None = None,
        formats: tuple[WeightsFormat, ...] | None = None,
        depth: int = 0,
    ) -> None:
        self.stream = stream
        self.formats = formats
        self.budget = budget or Allowance()
        self.depth = depth
        self.budget.spend(_LOOK)
        self.size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        self.head = stream.read(_HEAD)
        self.zip_fault: str | None = None

    @functools.cached_property
    def entries(self) -> list[ZipEntry]:
        """The records of its zip, in the order of the directory; none where it is no zip."""
        if not self.head.startswith(b"PK\x03\x04"):
            return []
        try:
            entries = read_directory(self.stream)
        except ModelError as error:
            self.zip_fault = str(error)
            return []
        self.budget.spend(len(entries) * _RECORD)
        return entries

    @functools.cached_property
    def records(self) -> dict[str, ZipEntry]:
        """The records of its zip below the folder that PyTorch puts all of them in.

        By names in lower case: PyTorch's reader of zips ignores case.
        """
        prefix = self.prefix.lower()
        return {
            name.removeprefix(prefix): entry
            for name, entry in ((entry.name.lower(), entry) for entry in self.entries)
            if name.startswith(prefix)
        }

    @property
    def prefix(self) -> str:
        """The folder of the first record, with its slash."""
        return self.entries[0].name.partition("/")[0] + "/" if self.entries else "/"

    @functools.cached_property
    def first_pickle(self) -> PickleReport:
        """What it would be to who unpickles it."""
        from mar_core.weights.pickles import walk_pickle

        return walk_pickle(self.stream, budget=self.budget, plain=True)

    @contextmanager
    def record(self, entry: ZipEntry) -> Iterator[BinaryIO]:
        """A seekable stream over one record.

        Raises:
            ModelError: It is damaged.
        """
        if entry.stored:
            yield window(self.stream, start=data_start(self.stream, entry), length=entry.size)
        else:
            self.budget.spend(entry.size + entry.compressed_size)
            yield io.BytesIO(read_entry(self.stream, entry, limit=entry.size))

    def inner(self, stream: BinaryIO) -> WeightsFile:
        """A file that lies in this one."""
        return WeightsFile(stream, budget=self.budget, formats=self.formats, depth=self.depth + 1)

    def rest(self, start: int) -> BinaryIO:
        """A seekable stream over what stands behind a place."""
        return window(self.stream, start=start, length=self.size - start)


class _Window(io.RawIOBase):
    def __init__(self, stream: BinaryIO, start: int, length: int) -> None:
        self._stream = stream
        self._start = start
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._length - self._position))
        self._stream.seek(self._start + self._position)
        data = self._stream.read(count)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def window(stream: BinaryIO, *, start: int, length: int) -> BinaryIO:
    """A read-only view of part of a seekable stream.

    Args:
        stream: The whole; it must not be used by others while the view is read.
        start: Where the part begins.
        length: How many bytes it has.
    """
    return cast("BinaryIO", io.BufferedReader(_Window(stream, start, length)))


@contextmanager
def seekable(stream: BinaryIO, *, budget: Budget | None = None) -> Iterator[BinaryIO]:
    """A stream over the same bytes that can be read in any order.

    What cannot be read in any order, such as a deflated member, is copied to a nameless temporary
    file; small ones stay in memory.

    Args:
        stream: The bytes.
        budget: What copying them may cost.
    """
    if stream.seekable():
        yield io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
        return
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
        if budget is None:
            shutil.copyfileobj(stream, copy, _CHUNK)
        else:
            while chunk := stream.read(_CHUNK):
                budget.spend(len(chunk))
                copy.write(chunk)
        copy.seek(0)
        yield copy  # type: ignore[misc]
