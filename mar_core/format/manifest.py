"""The manifest of an archive: ``MAR-INF/MANIFEST.json``, parsed strictly and dumped faithfully.

The keys are TorchServe's (``createdOn``, ``runtime``, ``model``, ``archiverVersion``); what mar
adds lives under one key of its own, ``mar``, which TorchServe ignores:

- ``mar.members``: for each member its ``size`` in bytes and its ``sha256``;
- ``mar.handler``: the ``distribution`` and ``version`` that ship the handler, where one does;
- ``mar.signature``: what the archive takes and gives, where its handler or its examples say it.

Unknown keys are kept as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mar_core.errors import ManifestError

__all__ = ["MANIFEST_NAME", "MAX_BYTES", "MAX_DEPTH", "MODEL_NAME_PATTERN", "Manifest"]

MANIFEST_NAME = "MAR-INF/MANIFEST.json"
MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_DIGITS = 300
# torch-model-archiver 0.12 takes a leading digit, although its README says a letter.
MODEL_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.]*")

FILE_KEYS = ("handler", "modelFile", "serializedFile", "requirementsFile", "configFile")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself.

    Attributes:
        data: The whole document as parsed, unknown keys included. Handlers see exactly this as
            ``context.manifest``.
    """

    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Manifest:
        """Parse the bytes of ``MANIFEST.json``.

        Stricter than ``json.loads``: UTF-8 without a byte order mark, no duplicate keys, no NaN, no
        endless digits, at most 64 levels and 1 MiB, an object at the top.

        Raises:
            ManifestError: The bytes are none of that; the sentence says which.
        """
        if len(raw) > MAX_BYTES:
            _refuse(f"is {len(raw):,} bytes; at most {MAX_BYTES:,} are allowed")
        if raw.startswith(b"\xef\xbb\xbf"):
            _refuse("starts with a byte order mark, which TorchServe's workers cannot read")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ManifestError(f"{MANIFEST_NAME} is not UTF-8 (byte {error.start}).") from error
        _check_depth(text)
        try:
            data = json.loads(
                text,
                object_pairs_hook=_no_duplicates,
                parse_constant=lambda name: _refuse(f"holds {name}, which is not JSON"),
                parse_int=_bounded_int,
            )
        except json.JSONDecodeError as error:
            raise ManifestError(
                f"{MANIFEST_NAME} is not JSON: {error.msg} at line {error.lineno}, "
                f"column {error.colno}."
            ) from error
        if not isinstance(data, dict):
            _refuse("must hold a JSON object at the top")
        return cls(data)

    def to_bytes(self) -> bytes:
        """The bytes that an archive stores, laid out as torch-model-archiver does."""
        return json.dumps(self.data, indent=2).encode("utf-8")

    @property
    def digest(self) -> str:
        """The SHA-256, in hex, of the manifest's bytes; it names the archive.

        The manifest holds the digest of every other member.
        """
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def model(self) -> dict[str, Any]:
        """The ``model`` object, or an empty one."""
        model = self.data.get("model")
        return model if isinstance(model, dict) else {}

    @property
    def mar(self) -> dict[str, Any]:
        """What mar added, or an empty object for archives made by others."""
        extension = self.data.get("mar")
        return extension if isinstance(extension, dict) else {}

    @property
    def model_name(self) -> str | None:
        """``model.modelName``."""
        return _text(self.model.get("modelName"))

    @property
    def model_version(self) -> str | None:
        """``model.modelVersion``; torch-model-archiver leaves an empty one out."""
        return _text(self.model.get("modelVersion"))

    @property
    def handler(self) -> str | None:
        """``model.handler``: a registered name, a file, ``file:entry`` or ``package:Class``."""
        return _text(self.model.get("handler"))

    @property
    def model_file(self) -> str | None:
        """``model.modelFile``: the member that defines the network."""
        return _text(self.model.get("modelFile"))

    @property
    def serialized_file(self) -> str | None:
        """``model.serializedFile``: the member that holds the weights."""
        return _text(self.model.get("serializedFile"))

    @property
    def requirements_file(self) -> str | None:
        """``model.requirementsFile``: the member that lists what to install."""
        return _text(self.model.get("requirementsFile"))

    @property
    def config_file(self) -> str | None:
        """``model.configFile``: the member that holds model-config.yaml."""
        return _text(self.model.get("configFile"))

    def with_handler(self, handler: str) -> Manifest:
        """The same manifest, naming another handler."""
        return Manifest({**self.data, "model": {**self.model, "handler": handler}})

    @property
    def runtime(self) -> str:
        """``runtime``: ``python``, ``python3`` or ``LSP``."""
        return _text(self.data.get("runtime")) or "python"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _refuse(what: str) -> NoReturn:
    raise ManifestError(f"{MANIFEST_NAME} {what}.")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            _refuse(f"has the key {key!r} twice")
        result[key] = value
    return result


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        _refuse(f"holds a number of {len(digits)} digits")
    return int(digits)


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the recursive parser meets it."""
    depth = 0
    for char in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        if char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(f"is nested more than {MAX_DEPTH} levels deep")
        elif char in "]}":
            depth -= 1
