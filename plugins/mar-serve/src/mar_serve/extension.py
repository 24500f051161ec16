"""What another distribution may add to a server: paths, listeners, a wish to know of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import TypeAlias

    from mar_serve.calls import Handler, Token
    from mar_serve.server import Server

    ExtraRoute: TypeAlias = tuple[str, Handler, list[str] | None, Token | None]

__all__ = ["Extension"]


class Extension:
    """Does nothing; derive from it. Everything is called in the server's event loop.

    Args:
        server: The server that it belongs to.
    """

    def __init__(self, server: Server) -> None:
        self.server = server

    def routes(self, kinds: Collection[str]) -> Iterable[ExtraRoute]:  # noqa: ARG002 - for others
        """More paths for a listener: path, what answers, methods (None: all), and the token.

        Args:
            kinds: What the listener is for.
        """
        return ()

    async def started(self) -> None:
        """Every model that was there at the start answers."""

    async def changed(self) -> None:
        """A model was registered, scaled, made the default, or removed."""

    async def stopping(self, grace: float) -> None:
        """Nothing more is taken; what was taken is answered within so many seconds."""
