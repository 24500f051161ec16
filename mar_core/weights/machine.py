"""The state of a walk over one pickle: its stack, its memo, and what was noted.

On the stack are inert stand-ins for everything that the pickle would make.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.weights.allowed import ALLOWED, DATA, ELEMENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.weights.streams import Allowance

__all__ = [
    "MARK", "MAX_LINE", "FaultError", "Global", "LongText", "Machine", "Made", "OrderedMap",
    "PickleReport", "Storage",
]  # fmt: skip

MAX_LINE = 64 << 10
_LINE_SHARE = 8
_MAX_NOTES = 20
MARK = object()


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle asks to import; nothing is imported."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True, eq=False, repr=False)
class Made:
    """What a call would have returned.

    It never prints what it holds: tuples that share parts print without end.

    Attributes:
        maker: What would have been called: a ``Global``, or None where it was computed.
        args: With which arguments.
        state: What ``BUILD`` would have set on it, or None.
    """

    maker: Global | None
    args: Any
    state: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class LongText:
    """A string or bytes too long to be kept.

    Attributes:
        size: How many bytes it has.
        latin: Whether all its characters are of Latin-1.
    """

    size: int
    latin: bool


@dataclass(frozen=True, slots=True)
class Storage:
    """A tensor's bytes, named but not read.

    Attributes:
        key: Its name in the file.
        dtype: The type of its elements, such as ``float32``.
        numel: How many elements it has.
        location: The device that it was saved from.
    """

    key: str
    dtype: str
    numel: int
    location: str

    @property
    def nbytes(self) -> int:
        """How many bytes its elements take."""
        return self.numel * ELEMENT_BYTES[self.dtype]


class OrderedMap(dict[Any, Any]):
    """An ``OrderedDict`` or a ``Counter`` of the pickle, which may carry attributes too."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        super().__init__()
        self.state: Any = None


class FaultError(Exception):
    """No unpickler goes on from here; the sentence's part says why."""


@dataclass(slots=True)
class PickleReport:
    """What a pickle would do.

    Attributes:
        value: What it would make, of stand-ins.
        forbidden: Names and calls that are not on the list, in the order of the pickle.
        refused: What a ``weights_only`` load does not take, and runs nothing.
        storages: The tensors' bytes that it asks for, by key.
        fault: Why no unpickler comes to its end, or None.
        unchecked: Whether it costs more to walk than there is to spend.
        acts: Whether something forbidden is called or changed, not only imported.
        ends: Whether it imports what no module can be called: an unpickler comes no further.
        end: Where it ends in the stream.
    """

    value: Any = None
    forbidden: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    storages: dict[str, Storage] = field(default_factory=dict)
    fault: str | None = None
    unchecked: bool = False
    acts: bool = False
    ends: bool = False
    end: int = 0


class Machine:
    """The state of a walk over one pickle; see ``walk_pickle`` for what it is made of."""

    def __init__(
        self,
        stream: BinaryIO,
        budget: Allowance,
        *,
        plain: bool,
        also: Callable[[str], bool],
        storage_fields: int,
    ) -> None:
        self.stream, self.budget = stream, budget
        self.plain, self.also, self.storage_fields = plain, also, storage_fields
        self.size = stream.seek(0, io.SEEK_END)
        self.report = PickleReport()
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.stopped = False

    def knows(self, name: str) -> bool:
        """Whether the pickle may import that name."""
        known = name in ALLOWED or (self.plain and name in DATA)
        return known or self.also(name)

    def forbid(self, what: str, *, acts: bool = True) -> None:
        """Note what could run code; ``acts`` where it calls or changes something."""
        if acts:
            self.act()
        _note(self.report.forbidden, what)

    def act(self) -> None:
        """Note that something is called or changed, where an unpickler comes so far."""
        self.report.acts |= not self.report.ends

    def refuse(self, what: str) -> None:
        """Note what torch does not take."""
        _note(self.report.refused, what)

    def pop(self) -> Any:
        """Take off the topmost value; an ``IndexError`` where there is none above the mark."""
        value = self.stack.pop()
        if value is MARK:
            raise IndexError
        return value

    def top(self) -> Any:
        """The topmost value; an ``IndexError`` where there is none above the mark."""
        if self.stack[-1] is MARK:
            raise IndexError
        return self.stack[-1]

    def pop_to_mark(self) -> list[Any]:
        """Take off everything above the last mark, and the mark."""
        items = []
        while (value := self.stack.pop()) is not MARK:
            items.append(value)
        return items[::-1]

    def take(self, count: int) -> bytes:
        """So many bytes of the pickle."""
        raw = self.stream.read(count)
        if len(raw) != count:
            raise FaultError("it is cut off")
        return raw

    def unsigned(self, width: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self.take(width), "little")

    def line(self) -> bytes:
        """A line without its end; of a long one the beginning, as long as no name is."""
        raw = more = self.stream.readline(MAX_LINE)
        while more and not more.endswith(b"\n"):
            # To look for its end costs next to nothing: a file of zeros that is no pickle has none.
            self.budget.spend(len(more) // _LINE_SHARE)
            more = self.stream.readline(MAX_LINE)
        if not more:
            raise FaultError("it has a line without an end")
        return raw.removesuffix(b"\n")


def _note(where: list[str], what: str) -> None:
    if what not in where and len(where) < _MAX_NOTES:
        where.append(what)
