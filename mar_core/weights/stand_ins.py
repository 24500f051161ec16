"""What a pickle is read into here: inert stand-ins for everything that it would make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Global", "LongText", "Made", "OrderedMap", "Storage"]


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


class OrderedMap(dict[Any, Any]):
    """An ``OrderedDict`` or a ``Counter`` of the pickle, which may carry attributes too."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        super().__init__()
        self.state: Any = None
