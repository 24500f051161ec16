"""A request as the pipeline gets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Prepared"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that has been read.

    Attributes:
        items: What the pipeline gets; one, or those of a list.
        many: Whether it was a list.
        parameters: What it asks for, in the pipeline's words.
        stream: Whether it wants its text as it comes.
        seed: Where the random numbers for it begin, or None.
    """

    items: tuple[Any, ...]
    many: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    seed: int | None = None
