"""Host and Origin: a web page that the user visits must not talk to the server behind their back.

A page of another site can send requests to this machine (it cannot read the answers), and a name
that its owner points at this machine makes the browser think that the answers are the page's own.
So the names by which the server is called are checked, and so is where a browser says that it comes
from.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mar_serve.bodies import header_of
from mar_serve.errors import forbidden

if TYPE_CHECKING:
    from starlette.types import Scope

    from mar_serve.config import ServerConfig

__all__ = ["Guard"]

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Checks where a request comes from.

    Args:
        config: ``hosts`` are names that are fine besides the machine's own; ``*`` takes all.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._any = "*" in config.hosts
        self._names = {"localhost", socket.gethostname().lower(), *map(str.lower, config.hosts)}
        addresses = (config.inference, config.management, config.metrics)
        self._names |= {address.host.lower() for address in addresses if address is not None}
        self._cors = config.cors_origin

    def check(self, scope: Scope) -> None:
        """Let a request through.

        Raises:
            ServeError: It was sent by another site's page, or to a name that is not ours.
        """
        host = (header_of(scope, b"host") or b"").decode("latin-1")
        if host and not self._any and not self._is_ours(host):
            raise forbidden("The Host header names no host of this server.")
        origin = (header_of(scope, b"origin") or b"").decode("latin-1")
        if origin and not self._is_welcome(origin, host):
            raise forbidden("Requests of other sites' pages are not taken.")
        site = header_of(scope, b"sec-fetch-site")
        if site == b"cross-site" and scope["method"] not in _SAFE and not self._cors:
            raise forbidden("Requests of other sites' pages are not taken.")

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # an address is nobody's to point elsewhere

    def _is_welcome(self, origin: str, host: str) -> bool:
        if self._cors in {"*", origin}:
            return True
        try:
            place = urlsplit(origin).netloc
        except ValueError:
            return False
        return place != "" and place.lower() == host.lower()  # "null" has no place
