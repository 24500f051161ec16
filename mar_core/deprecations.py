"""Everything that mar means to remove, in one place: what, since when, until when, and instead.

A deprecation is announced by a ``MarDeprecationWarning``, which is visible by default, for at least
one minor version before the thing goes. A hook or an argument of one is deprecated by passing
``Deprecation.warning`` to ``hookspec(warn_on_impl=…)`` or ``warn_on_impl_args``: the warning then
points at the plugin's own line.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.errors import MarWarning

if TYPE_CHECKING:
    from types import FunctionType

__all__ = ["OLD_WRAPPER", "Deprecation", "MarDeprecationWarning"]


class MarDeprecationWarning(MarWarning):
    """Something still works and will not in a later version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """One thing that will go.

    Attributes:
        what: The thing, as the subject of a sentence.
        since: The version that deprecated it.
        removed_in: The version that will not have it.
        instead: One sentence: what to do.
    """

    what: str
    since: str
    removed_in: str
    instead: str

    @property
    def warning(self) -> MarDeprecationWarning:
        """The warning, for pluggy's ``warn_on_impl`` and for ``warnings.warn``."""
        return MarDeprecationWarning(
            f"{self.what} is deprecated since mar {self.since} and goes with mar "
            f"{self.removed_in}. {self.instead}"
        )

    def warn_explicit(self, function: FunctionType) -> None:
        """Warn at the line where a function is defined."""
        code = function.__code__
        warnings.warn_explicit(
            self.warning, MarDeprecationWarning, code.co_filename, code.co_firstlineno
        )


OLD_WRAPPER = Deprecation(
    what="@hookimpl(hookwrapper=True)",
    since="0.1",
    removed_in="0.3",
    instead="Use @hookimpl(wrapper=True): `yield` gives the result or raises the error.",
)
