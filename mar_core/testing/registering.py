"""A plugin for the time of a test."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.plugins import Plugins

__all__ = ["plugin"]

T = TypeVar("T")


@contextlib.contextmanager
def plugin(instance: T, *, name: str | None = None, plugins: Plugins | None = None) -> Iterator[T]:
    """Make an object a plugin until the end of a ``with`` block.

    It is registered as an installed plugin would be, after all others, so that it is asked first.
    Archives that are loaded inside the block see it.

    Args:
        instance: A module, or an object with ``@hookimpl`` methods.
        name: What to call it in messages; its class by default.
        plugins: Where to register it; by default, where this process keeps the installed ones.

    Yields:
        The same object.

    Raises:
        PluginError: A hook of it is misspelt, has a wrong argument, or is a wrapper where none can
            be.

    Example:
        >>> with plugin(Autocast()):
        ...     run_archive("model.mar", [image])
    """
    from mar_core.plugins import get_plugins

    registry = get_plugins() if plugins is None else plugins
    called = str(name or getattr(instance, "__name__", type(instance).__name__))
    registry.register(instance, called)
    try:
        yield instance
    finally:
        registry.unregister(called)
