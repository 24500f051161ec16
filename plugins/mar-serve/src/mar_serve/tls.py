"""TLS: the server's certificate and its key."""

from __future__ import annotations

import logging
import ssl
import time
from typing import TYPE_CHECKING, Any

from mar_core import UsageError

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

__all__ = ["Prompt", "server_context"]

# What OpenSSL calls too weak where a distribution has raised its level: 1024 bits, SHA-1. A server
# that ran with such a certificate goes on with it.
_WEAK = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})
_OLD_LEVEL = "DEFAULT@SECLEVEL=1"
CHECKS = 2
LATER_SECONDS, SECONDS = 0.1, 30.0

logger = logging.getLogger("mar_serve.server")


class Prompt:
    """A TLS transport whose connection ends soon after it is closed.

    By itself it waits half a minute for the client's farewell. Clients that send none, as Netty's
    do, take the connection for an open one meanwhile, and send requests that nobody answers.

    Args:
        transport: The transport.
        loop: Its event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self.write = transport.write
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Send what is left and the farewell, and end."""
        self._transport.close()
        self._loop.call_soon(self._end, CHECKS, time.monotonic() + SECONDS)

    def _end(self, checks: int, until: float) -> None:
        """End when all is sent: what still waits would be lost.

        Below the transport is another, whose buffer cannot be seen; it is empty where the
        system's is, but for a moment: hence more than one check.
        """
        sent = self._is_sent()
        if sent is None or time.monotonic() > until:
            return
        if not sent:
            self._loop.call_later(LATER_SECONDS, self._end, CHECKS, until)
        elif checks > 1:
            self._loop.call_soon(self._end, checks - 1, until)
        else:
            self._transport.abort()

    def _is_sent(self) -> bool | None:
        """Whether the client's machine has everything; None where that cannot be told."""
        if self._transport.get_write_buffer_size():
            return False
        import fcntl
        import termios

        try:
            number = self._transport.get_extra_info("socket").fileno()
            waiting = fcntl.ioctl(number, termios.TIOCOUTQ, b"\0" * 4)
        except (OSError, ValueError, AttributeError):
            return None
        return not any(waiting)


def server_context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """What an https address is served with.

    Args:
        certificate: The certificate, and those that lead to one that clients know; PEM.
        private_key: Its key, without a password; PEM.

    Raises:
        UsageError: A file cannot be read, or they do not belong together.
    """
    for path in (certificate, private_key):
        if not path.is_file():
            raise UsageError(f"There is no file {path} for the https address.")
    try:
        return _loaded(certificate, private_key, ciphers=None)
    except ssl.SSLError as error:
        if error.reason not in _WEAK:
            raise _unusable(certificate, private_key, error) from error
        logger.warning("%s is weak (%s): replace it", certificate, _reason(error))
    except (OSError, ValueError) as error:
        raise _unusable(certificate, private_key, error) from error
    try:
        return _loaded(certificate, private_key, ciphers=_OLD_LEVEL)
    except (OSError, ValueError) as error:
        raise _unusable(certificate, private_key, error) from error


def _loaded(certificate: Path, private_key: Path, *, ciphers: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if ciphers is not None:
        context.set_ciphers(ciphers)
    context.load_cert_chain(certificate, private_key, password=_no_password)
    return context


def _no_password() -> str:
    """In place of OpenSSL's question on the terminal, which nobody would answer."""
    raise ValueError("the key has a password")


def _unusable(certificate: Path, private_key: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{certificate} and {private_key} cannot be used for https: {_reason(error)}.",
        hint="Give a certificate and the key that belongs to it, both in PEM, without a password.",
    )


def _reason(error: Exception) -> str:
    said = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(said).replace("_", " ").lower() if str(said).isupper() else str(said)
