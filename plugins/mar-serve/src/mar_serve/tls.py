"""TLS: the server's certificate and its key."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

from mar_core import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["server_context"]

# What OpenSSL calls too weak where a distribution has raised its level: 1024 bits, SHA-1. A server
# that ran with such a certificate goes on with it.
_WEAK = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})
_OLD_LEVEL = "DEFAULT@SECLEVEL=1"

logger = logging.getLogger("mar_serve.server")


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
