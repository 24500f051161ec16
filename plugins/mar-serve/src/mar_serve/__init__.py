"""``mar serve``: model archives over HTTP, with the APIs that TorchServe's clients know.

Importing this costs nothing: the command is made when somebody types it, and the server's modules
are imported when it runs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mar_core import hookimpl

if TYPE_CHECKING:
    import typer

    from mar_serve.answers import Answer as Answer
    from mar_serve.answers import strict_json as strict_json
    from mar_serve.calls import Call as Call
    from mar_serve.config import Address as Address
    from mar_serve.config import ModelSource as ModelSource
    from mar_serve.config import Overrides as Overrides
    from mar_serve.config import ServerConfig as ServerConfig
    from mar_serve.errors import ServeError as ServeError
    from mar_serve.extension import Extension as Extension
    from mar_serve.extension import ExtraRoute as ExtraRoute
    from mar_serve.life import run as run
    from mar_serve.server import Server as Server

# The public names, for who puts more on top of the server, and where they stand.
_HOME = {
    "Address": "config",
    "Answer": "answers",
    "Call": "calls",
    "Extension": "extension",
    "ModelSource": "config",
    "Overrides": "config",
    "ServeError": "errors",
    "Server": "server",
    "ServerConfig": "config",
    "run": "life",
    "strict_json": "answers",
}

__all__ = sorted([*_HOME, "mar_register_commands"])  # noqa: PLE0605 - the table is the one list


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


@hookimpl
def mar_register_commands(app: typer.Typer) -> None:
    """Add ``mar serve``."""
    from mar_serve.command import serve

    app.command("serve")(serve)
