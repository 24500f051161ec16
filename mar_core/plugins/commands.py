"""The commands that plugins add to ``mar``: collected from each, and known by name before that."""

from __future__ import annotations

from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import typer

    from mar_core.plugins.entry_points import EntryInfo

__all__ = ["new_app", "offers_commands", "take_commands"]

_HOOK = b"mar_register_commands"
_MOST_FILES = 50


def new_app() -> typer.Typer:
    """An application to hand to ``mar_register_commands``."""
    import typer

    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)  # keeps a single command a command of a group
    return app


def take_commands(
    app: typer.Typer, *, prepare: Callable[[typer.Typer], None] = lambda _: None
) -> dict[str, Any]:
    """The commands that were added to an application, by name; they are taken out of it.

    Args:
        app: The application.
        prepare: Told the application before its commands are made.
    """
    from typer.main import get_command

    prepare(app)
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    app.registered_commands.clear()
    app.registered_groups.clear()
    return commands


def offers_commands(entry: EntryInfo) -> bool:
    """Whether a plugin's source names the hook for commands; nothing of it is imported.

    ``mar --help`` asks, so that plugins that add no command cost it nothing.

    Args:
        entry: The plugin.
    """
    return any(_HOOK in file.read_bytes() for file in _sources(entry.module))


def _sources(module: str) -> Iterator[Path]:
    """The Python files of a module, and those beside it where it is a package."""
    top, *rest = module.split(".")
    path = None
    spec = None
    for depth, _ in enumerate((top, *rest), 1):
        spec = PathFinder.find_spec(".".join(module.split(".")[:depth]), path)
        if spec is None:
            return
        path = list(spec.submodule_search_locations or ())
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return
    file = Path(spec.origin)
    files = sorted(file.parent.glob("*.py"))[:_MOST_FILES] if path else [file]
    yield from (found for found in files if found.is_file())
