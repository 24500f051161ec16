"""Who may ask: the tokens of ``key_file.json``, as TorchServe's clients know them."""

from __future__ import annotations

import contextlib
import datetime as dt
import hmac
import json
import os
import secrets
from typing import TYPE_CHECKING, Literal

from mar_serve.bodies import header_of
from mar_serve.errors import ServeError, invalid_key

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Scope

__all__ = ["KEY_FILE", "Token", "Tokens"]

Token = Literal["inference", "management", "API"]

KEY_FILE = "key_file.json"
KEY_BYTES = 6  # eight characters, as TorchServe has them


class Tokens:
    """The three keys, in a file that only its owner may read.

    Args:
        folder: Where the file is put.
        minutes: How long a key is good for; the API key is for as long as the server runs.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self.path = folder / KEY_FILE
        self._life = dt.timedelta(minutes=minutes)
        self._keys: dict[str, str] = {"API": _key()}
        self._ends: dict[str, dt.datetime] = {}
        for kind in ("management", "inference"):
            self._renew(kind)
        self._write()

    def check(self, scope: Scope, kind: Token) -> None:
        """Let a request through that carries the right key.

        Raises:
            ServeError: It does not.
        """
        self.check_value((header_of(scope, b"authorization") or b"").decode("latin-1"), kind)

    def check_value(self, given: str, kind: str) -> None:
        """The same, of the value of an ``Authorization`` header.

        Raises:
            ServeError: It is not the right one.
        """
        scheme, _, token = given.partition(" ")
        right = hmac.compare_digest(token.strip().encode(), self._keys[kind].encode())
        end = self._ends.get(kind)
        if scheme.lower() != "bearer" or not right or (end is not None and end <= _now()):
            raise invalid_key()

    def renew(self, kind: str) -> None:
        """Make a new key.

        Raises:
            ServeError: There is no key of that kind to be made anew.
        """
        if kind not in {"management", "inference"}:
            raise ServeError(
                400,
                "InvalidKeyException",
                "Token Authentication failed. Token either incorrect, expired, or not provided "
                "correctly",
            )
        self._renew(kind)
        self._write()

    def remove(self) -> None:
        """Delete the file: its keys are worth nothing any more."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _renew(self, kind: str) -> None:
        self._keys[kind] = _key()
        self._ends[kind] = _now() + self._life

    def _write(self) -> None:
        document = {
            kind: {"key": self._keys[kind], "expiration time": _written(self._ends[kind])}
            for kind in ("management", "inference")
        }
        keys: dict[str, dict[str, str]] = {**document, "API": {"key": self._keys["API"]}}
        part = self.path.with_name(f".{KEY_FILE}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        # Never readable by others, not even for the moment before a chmod.
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump(keys, file, indent=2)
            file.write("\n")
        part.rename(self.path)


def _key() -> str:
    return secrets.token_urlsafe(KEY_BYTES)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _written(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
