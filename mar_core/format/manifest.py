"""The manifest of an archive: ``MAR-INF/MANIFEST.json``, parsed strictly and dumped faithfully.

The keys are TorchServe's (``createdOn``, ``runtime``, ``model``, ``archiverVersion``); what mar
adds lives under one key of its own, ``mar``, which TorchServe ignores:

- ``mar.members``: for each member its ``size`` in bytes and its ``sha256``;
- ``mar.handler``: the ``distribution`` and ``version`` that ship the handler, where one does;
- ``mar.signature``: what the archive takes and gives, where its handler or its examples say it.

Unknown keys are kept as they are. ``createdOn`` is the one time that an archive carries, and has
nothing to do with the clock.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mar_core.errors import ManifestError, UsageError

__all__ = [
    "FILE_KEYS", "MANIFEST_NAME", "MAX_BYTES", "MAX_DEPTH", "MODEL_NAME_PATTERN", "UNDATED",
    "Manifest", "created_on", "epoch",
]  # fmt: skip

MANIFEST_NAME = "MAR-INF/MANIFEST.json"
MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_DIGITS = 300
# torch-model-archiver 0.12 takes a leading digit, although its README says a letter.
MODEL_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.]*")
# One without an end goes to the end: looked for again from each quote in it, it would take hours.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)

# What names a member, beside the handler, which may name a module.
FILE_KEYS = ("modelFile", "serializedFile", "requirementsFile", "configFile")
_MODEL_KEYS = {
    "model_name": "modelName",
    "model_version": "modelVersion",
    "handler": "handler",
    "model_file": "modelFile",
    "serialized_file": "serializedFile",
    "requirements_file": "requirementsFile",
    "config_file": "configFile",
}
_VARIABLE = "SOURCE_DATE_EPOCH"
# What a zip can express: from 1980 to 2107, in steps of two seconds.
_FIRST, _LAST = 315_532_800, 4_354_819_198
UNDATED = "01/01/1980 00:00:00"  # what ``created_on`` says without SOURCE_DATE_EPOCH


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself.

    Attributes:
        data: The whole document as parsed, unknown keys included. Handlers see exactly this as
            ``context.manifest``.
        model: The ``model`` object, or an empty one.
        mar: What mar added, or an empty object for archives made by others.
        model_name: ``model.modelName``.
        model_version: ``model.modelVersion``; torch-model-archiver leaves an empty one out.
        handler: ``model.handler``: a registered name, a file, ``file:entry`` or
            ``package:Class``.
        model_file: ``model.modelFile``: the member that defines the network.
        serialized_file: ``model.serializedFile``: the member that holds the weights.
        requirements_file: ``model.requirementsFile``: the member that lists what to install.
        config_file: ``model.configFile``: the member that holds model-config.yaml.
        runtime: ``runtime``: ``python``, ``python3`` or ``LSP``.
    """

    data: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(init=False, compare=False, repr=False)
    mar: dict[str, Any] = field(init=False, compare=False, repr=False)
    model_name: str | None = field(init=False, compare=False, repr=False)
    model_version: str | None = field(init=False, compare=False, repr=False)
    handler: str | None = field(init=False, compare=False, repr=False)
    model_file: str | None = field(init=False, compare=False, repr=False)
    serialized_file: str | None = field(init=False, compare=False, repr=False)
    requirements_file: str | None = field(init=False, compare=False, repr=False)
    config_file: str | None = field(init=False, compare=False, repr=False)
    runtime: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        model = _object(self.data.get("model"))
        said = {name: _text(model.get(key)) for name, key in _MODEL_KEYS.items()}
        said["runtime"] = _text(self.data.get("runtime")) or "python"
        for name, value in {**said, "model": model, "mar": _object(self.data.get("mar"))}.items():
            object.__setattr__(self, name, value)

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

    def with_handler(self, handler: str) -> Manifest:
        """The same manifest, naming another handler."""
        return Manifest({**self.data, "model": {**self.model, "handler": handler}})


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


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
    for char in _STRING.sub("", text):
        if char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(f"is nested more than {MAX_DEPTH} levels deep")
        elif char in "]}":
            depth -= 1


def epoch() -> int:
    """The time of every member, in seconds since 1970: ``SOURCE_DATE_EPOCH``, or the start of 1980.

    Raises:
        UsageError: The variable is set and is no number of seconds.
    """
    text = os.environ.get(_VARIABLE)
    if not text:
        return _FIRST
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{_VARIABLE} is {text!r}, which is no number of seconds since 1970.")
    return min(max(int(text), _FIRST), _LAST)


def created_on() -> str:
    """``createdOn`` of the manifest, in UTC and in torch-model-archiver's layout."""
    return time.strftime("%d/%m/%Y %H:%M:%S", time.gmtime(epoch()))
