"""What another distribution may add to a server: paths, listeners, a wish to know of changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mar_core import server_extensions
from mar_serve.path_items import as_described, fault_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import TypeAlias

    from mar_serve.calls import Handler
    from mar_serve.parts import Added
    from mar_serve.server import Server
    from mar_serve.tokens import Token

    ExtraRoute: TypeAlias = tuple[str, Handler, list[str] | None, Token | None]

__all__ = ["Extension", "from_plugins", "items_of", "routes_of"]

LISTENERS = frozenset({"inference", "management", "metrics"})

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

    def openapi(self) -> Mapping[str, Mapping[str, Any]]:
        """What ``/openapi.json`` says of its paths: OpenAPI 3.0 path items, by path.

        Those of all listeners; each listener's document has those that it answers. ``{rest:path}``
        of a route is ``{rest}`` here. ``#/components/schemas/Error`` is the server's own error.
        """
        return {}

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
    extensions: Iterable[Added], kinds: Collection[str], taken: set[str]
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


def items_of(extensions: Iterable[Added], added: Collection[str]) -> dict[str, Any]:
    """What extensions say of their paths.

    Args:
        extensions: Who adds them.
        added: The paths that a listener has of them.
    """
    known = {as_described(path) for path in added}
    return {
        path: item
        for extension in extensions
        for path, item in extension.openapi().items()
        if path in known
    }


def _fault(offer: Any) -> str | None:
    if not isinstance(offer, Extension):
        return f"an object of {type(offer).__name__}, which is no mar_serve.Extension"
    try:
        items = offer.openapi()
        if items == {}:
            return None
        routes = [as_described(route[0]) for route in offer.routes(LISTENERS)]
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is its fault
        return f"OpenAPI path items that cannot be had: {type(error).__name__}: {error}"
    return fault_of(items, routes)
