"""What another distribution may add to a server: paths, listeners, a wish to know of changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mar_core import server_extensions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import TypeAlias

    from mar_serve.calls import Handler, Token
    from mar_serve.server import Server

    ExtraRoute: TypeAlias = tuple[str, Handler, list[str] | None, Token | None]

__all__ = ["Extension", "from_plugins", "routes_of"]

logger = logging.getLogger("mar_serve.server")


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


def from_plugins(server: Server) -> list[Extension]:
    """What the installed plugins add to a server, by the hook ``mar_extend_server``."""
    found: list[Extension] = server_extensions(server, _fault)
    return found


def routes_of(
    extensions: Iterable[Extension], kinds: Collection[str], taken: set[str]
) -> Iterator[ExtraRoute]:
    """The paths that extensions add; what is wrong with one of them costs the others nothing.

    Args:
        extensions: Who adds them.
        kinds: What the listener is for.
        taken: The paths that are there already; those that are added join them.
    """
    for extension in extensions:
        name = type(extension).__qualname__
        try:
            routes = list(extension.routes(kinds))
        except Exception:
            logger.exception("%s could not add its paths", name)
            continue
        for route in routes:
            if route[0] in taken:
                logger.warning("%s adds the path %s, which is taken: left out", name, route[0])
            else:
                taken.add(route[0])
                yield route


def _fault(offer: Any) -> str | None:
    if isinstance(offer, Extension):
        return None
    return f"an object of {type(offer).__name__}, which is no mar_serve.Extension"
