"""Listeners: sockets, and a uvicorn on each."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from mar_core import UsageError
from mar_serve.app import create_app
from mar_serve.protocol import MarProtocol
from mar_serve.tls import server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from mar_serve.config import Address, ServerConfig
    from mar_serve.server import Server

__all__ = ["Listener", "bind", "listeners"]

BACKLOG = 2048
KEEP_ALIVE = 75


class _Config(uvicorn.Config):  # type: ignore[misc, unused-ignore]
    """What a uvicorn is told, with the TLS that was made for it."""

    context: ssl.SSLContext | None = None

    def load(self) -> None:
        """Load what the settings name."""
        super().load()
        self.ssl = self.context


class Listener(uvicorn.Server):  # type: ignore[misc, unused-ignore]
    """One uvicorn; signals are the server's, not its."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets=sockets)
        self._listening.set()

    async def until_listening(self, serving: asyncio.Task[None]) -> None:
        """Wait until connections are taken.

        Args:
            serving: What runs the listener: when it fails, its error is raised.
        """
        waiting = asyncio.create_task(self._listening.wait())
        await asyncio.wait((waiting, serving), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if serving.done():
            serving.result()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def bind(config: ServerConfig) -> dict[str, tuple[Address, socket.socket]]:
    """Open the sockets; kinds with one address share one.

    Returns:
        For each kind of listener its address, with the port that was taken, and its socket.

    Raises:
        UsageError: An address cannot be had.
    """
    wanted = {
        "inference": config.inference,
        "management": config.management,
        "metrics": config.metrics,
    }
    opened: dict[Address, tuple[Address, socket.socket]] = {}
    bound = {}
    for kind, address in wanted.items():
        if address is None:
            continue
        shared = opened.get(address) if address.port or address.path else None
        if shared is None:
            shared = _open(address)
            opened[address] = shared
        bound[kind] = shared
    return bound


def _open(address: Address) -> tuple[Address, socket.socket]:
    if address.path is not None:
        return address, _open_unix(address.path)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address.host, address.port))
        # Two servers can bind one address, and only one can listen on it.
        opened.listen(BACKLOG)
        opened.setblocking(False)  # noqa: FBT003 - a socket's own way
    except (OSError, OverflowError) as error:
        opened.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{address} cannot be listened on: {reason}.", hint="Try another --port."
        ) from error
    return replace(address, port=opened.getsockname()[1]), opened


def _open_unix(path: str) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        if Path(path).is_socket():
            Path(path).unlink()
    opened.bind(path)
    opened.setblocking(False)  # noqa: FBT003 - likewise
    return opened


def listeners(
    server: Server, bound: dict[str, tuple[Address, socket.socket]]
) -> list[tuple[Listener, socket.socket]]:
    """A uvicorn for each socket.

    Raises:
        UsageError: An https address cannot be served with the certificate that there is.
    """
    kinds: defaultdict[socket.socket, set[str]] = defaultdict(set)
    secure = set()
    for kind, (address, opened) in bound.items():
        kinds[opened].add(kind)
        if address.scheme == "https":
            secure.add(opened)
    return [
        (_listener(server, found, secure=opened in secure), opened)
        for opened, found in kinds.items()
    ]


def _listener(server: Server, kinds: set[str], *, secure: bool) -> Listener:
    config = server.config
    seconds = server.config.header_seconds
    made = _Config(
        create_app(server, kinds),
        http=type("Protocol", (MarProtocol,), {"header_seconds": seconds}),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, int(config.grace)),
    )
    if secure:
        made.context = _context(config)
    return Listener(made)


def _context(config: ServerConfig) -> ssl.SSLContext:
    if config.certificate is None or config.private_key is None:
        raise UsageError(
            "An https address needs a certificate and its key.", hint="Give both, in PEM."
        )
    return server_context(config.certificate, config.private_key)
