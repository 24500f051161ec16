"""Reads ``config.properties``: Java's format, TorchServe's rules about the environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import javaproperties

from mar_core import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Properties", "read_properties"]

DEFAULT_FILE = "config.properties"
_VARIABLE = re.compile(r"\$\$([^$]+)\$\$")


@dataclass(slots=True)
class Properties:
    """Keys and values, and where each is from.

    Attributes:
        values: The values by key, with environment variables put in.
        sources: Where a value is from: a file's path, an environment variable's name, or a flag.
    """

    values: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, value: str, source: str) -> None:
        """Set a value, in place of what was there."""
        self.values[key] = value
        self.sources[key] = source

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A boolean, as Java reads one: ``true`` in any case, and false for all else."""
        return self.values.get(key, str(default)).strip().lower() == "true"


def read_properties(
    path: Path | None, environment: Mapping[str, str], *, variables: Mapping[str, str] | None = None
) -> Properties:
    """Read a file, and what the environment says where the file allows that.

    ``$$NAME$$`` in a value is an environment variable. With ``enable_envvars_config=true``, the
    variable ``TS_KEY`` wins over the key; ``allowed_urls`` additionally needs
    ``use_env_allowed_urls=true``, so that whoever can set a variable cannot open the server.

    Args:
        path: The file; None reads none.
        environment: The environment.
        variables: The keys that have a variable, with its name.

    Raises:
        UsageError: The file cannot be read or parsed, or it names a variable that is not set.
    """
    found = Properties()
    if path is not None:
        for key, value in _parse(path).items():
            found.put(key, _with_variables(value, key, path, environment), str(path))
    if found.flag("enable_envvars_config"):
        for key, name in (variables or {}).items():
            if key == "allowed_urls" and not found.flag("use_env_allowed_urls"):
                continue
            if name in environment:
                found.put(key, environment[name], name)
    return found


def _parse(path: Path) -> dict[str, str]:
    try:
        # Java reads the file as Latin-1; UTF-8 is what people write, and reads the same where both
        # are plain ASCII.
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        parsed: dict[str, str] = javaproperties.loads(text)
    except javaproperties.InvalidUEscapeError as error:
        raise UsageError(
            f"{path} holds an escape that Java's properties do not have: {error}.",
            hint="Write the character itself, in UTF-8.",
        ) from error
    return {key: value.strip() for key, value in parsed.items()}


def _with_variables(value: str, key: str, path: Path, environment: Mapping[str, str]) -> str:
    def put_in(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environment:
            raise UsageError(
                f"{path}: {key} names the environment variable {name}, which is not set.",
                hint=f"Set {name}, or write the value into the file.",
            )
        return environment[name]

    return _VARIABLE.sub(put_in, value)
