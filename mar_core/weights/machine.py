"""The pickle machine, with stand-ins on its stack: nothing is imported, called or built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mar_core.weights.symbols import Storage

__all__ = ["Machine", "PickleError"]

_MARK = object()
_MAX_LISTED = 20


class PickleError(Exception):
    """The pickle is damaged, or does what no honest one does."""


class Machine:
    """The state of a walk over one pickle.

    Args:
        allowed: The names that it may import.
        also: Says of any other name whether it may be imported.

    Attributes:
        forbidden: Names and calls that are not allowed, at most twenty.
        unsupported: Opcodes that torch's own unpickler does not know.
        storages: What ``BINPERSID`` asked for, by key.
        memo: What the pickle remembers by number.
        result: What the pickle makes.
        stopped: Whether it came to its end.
    """

    def __init__(self, *, allowed: Collection[str], also: Callable[[str], bool]) -> None:
        self.forbidden: list[str] = []
        self.unsupported: list[str] = []
        self.storages: dict[str, Storage] = {}
        self.memo: dict[int, Any] = {}
        self.result: Any = None
        self.stopped = False
        self._allowed = allowed
        self._also = also
        self._stack: list[Any] = []

    def allows(self, name: str) -> bool:
        """Whether the pickle may import that name."""
        return name in self._allowed or self._also(name)

    def forbid(self, what: str) -> None:
        """Note something that is not allowed."""
        _note(self.forbidden, what)

    def unknown(self, opcode: str) -> None:
        """Note an opcode that torch does not know."""
        _note(self.unsupported, opcode)

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def push_mark(self) -> None:
        """Put a mark on the stack."""
        self._stack.append(_MARK)

    def drop(self) -> None:
        """Take off the topmost value or mark."""
        self._stack.pop()

    def pop(self) -> Any:
        """Take off the topmost value.

        Raises:
            IndexError: There is none above the last mark.
        """
        value = self._stack.pop()
        if value is _MARK:
            raise IndexError
        return value

    def top(self) -> Any:
        """The topmost value.

        Raises:
            IndexError: There is none above the last mark.
        """
        if self._stack[-1] is _MARK:
            raise IndexError
        return self._stack[-1]

    def pop_to_mark(self) -> list[Any]:
        """Take off everything above the last mark, and the mark.

        Raises:
            IndexError: There is no mark.
        """
        items = []
        while (value := self._stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]


def _note(where: list[str], what: str) -> None:
    if what not in where and len(where) < _MAX_LISTED:
        where.append(what)
