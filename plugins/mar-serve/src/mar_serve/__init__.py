"""``mar serve``: model archives over HTTP, with the APIs that TorchServe's clients know.

Importing this costs nothing: the command is made when somebody types it, and the server's modules
are imported when it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import hookimpl

if TYPE_CHECKING:
    import typer

__all__ = ["mar_register_commands"]


@hookimpl
def mar_register_commands(app: typer.Typer) -> None:
    """Add ``mar serve``."""
    from mar_serve.command import serve

    app.command("serve")(serve)
