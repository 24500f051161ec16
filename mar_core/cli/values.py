"""Words become values without pydantic where nothing has to be checked.

typer converts every value through pydantic, which takes longer to import than a quick command takes
for everything else. Texts, paths, defaults and what was not given do not need it; all other values
are left to typer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["convert_plainly"]


def convert_plainly(param: Any) -> None:
    """Let one parameter of a command convert texts and paths by itself.

    Args:
        param: The parameter; one that is not as this typer makes them stays as it is.
    """
    descriptor = getattr(param, "type_descriptor", None)
    typers_own = getattr(param, "get_runtime_param", None)
    if descriptor is None or typers_own is None or "get_runtime_param" in vars(param):
        return
    asked = descriptor.parameter_info
    if asked.exists or asked.resolve_path or asked.parser:
        return
    plain = _Plain(descriptor.annotation, typers_own)
    param.get_runtime_param = lambda: plain


class _Plain:
    """Stands where typer looks for its own converter."""

    def __init__(self, annotation: Any, typers_own: Callable[[], Any]) -> None:
        self._typers_own = typers_own
        self._kind = annotation
        self._choices: tuple[Any, ...] = ()
        if get_origin(annotation) is Literal:
            self._choices = get_args(annotation)
        elif get_origin(annotation) is list:
            self._kind = get_args(annotation)[0]

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        if self._kind in {str, Path}:
            return [self._kind(word) for word in value] if several else self._kind(value)
        if value in self._choices or type(value) is self._kind:
            return value
        return self._typers_own().coerce(value, param=param, ctx=ctx)
