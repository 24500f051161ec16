"""Which of the things that a module defines is the handler."""

from __future__ import annotations

import difflib
import inspect
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.ts.util import list_classes_from_module

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.handlers.lookup import FoundHandler

__all__ = ["choose"]

DEFAULT = "handle"


def choose(found: FoundHandler, loaded: Any) -> Callable[..., Any] | type:
    """The function or class that handles requests.

    The entry that was named, else the function ``handle``, else the one class. Where there are
    several classes, the only one with a ``handle``, or the one that all others lead up to.

    Args:
        found: Where the handler was found.
        loaded: What was imported from there: a module, or already a function or class.

    Raises:
        HandlerError: There is none, or it is not clear which.
    """
    if not isinstance(loaded, ModuleType):
        return _callable(found, loaded)
    entry: Callable[..., Any] | None = getattr(loaded, found.entry or DEFAULT, None)
    if callable(entry):
        return entry
    classes = list_classes_from_module(loaded)
    candidates = classes if len(classes) == 1 else _leaves(classes)
    if len(candidates) == 1:
        # As in TorchServe, also where another entry was named: ``service:handle`` of a class.
        return candidates[0]
    raise _unclear(found, loaded, classes)


def _callable(found: FoundHandler, loaded: Any) -> Callable[..., Any]:
    if callable(loaded):
        function: Callable[..., Any] = loaded
        return function
    raise HandlerError(
        f"The handler {found.name!r} is a {type(loaded).__name__}, where a class or a function "
        "is expected.",
        stage="load",
        handler=found.name,
    )


def _leaves(classes: list[type]) -> list[type]:
    """The classes that handle requests and that no other such class inherits from."""
    able = [cls for cls in classes if callable(getattr(cls, DEFAULT, None))]
    return [cls for cls in able if not any(cls in other.__mro__[1:] for other in able)]


def _unclear(found: FoundHandler, module: ModuleType, classes: list[type]) -> HandlerError:
    functions = [
        name
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__ and not name.startswith("_")
    ]
    names = [*(cls.__name__ for cls in classes), *functions]
    file = f"{found.module}.py" if found.member else found.module
    if found.entry:
        near = difflib.get_close_matches(found.entry, names, n=1)
        message = f"{file} has no {found.entry!r}; it defines {', '.join(names) or 'nothing'}."
        hint = f"Did you mean {found.module}:{near[0]}?" if near else None
    elif len(classes) > 1:
        listed = ", ".join(cls.__name__ for cls in classes)
        message = (
            f"{file} defines several classes and it is not clear which is the handler: {listed}."
        )
        hint = f"Name it: `--handler {file}:{classes[-1].__name__}`."
    else:
        message = f"{file} defines no class and no function {DEFAULT!r}."
        hint = (
            f"Name the function: `--handler {file}:{functions[0]}`."
            if functions
            else "Define `def handle(data, context)`, or a class that inherits from BaseHandler."
        )
    return HandlerError(message, stage="load", handler=found.name, hint=hint)
