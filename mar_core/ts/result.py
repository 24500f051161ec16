"""What stands for None where a hook takes None for "not mine"."""

from __future__ import annotations

from typing import Final, final

__all__ = ["NO_RESULT", "NoResult"]


@final
class NoResult:
    """The type of ``NO_RESULT``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_RESULT"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "NO_RESULT"


NO_RESULT: Final = NoResult()
