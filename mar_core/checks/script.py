"""What a handler's file says of itself: the ``# /// script`` block of PEP 723."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["OPENING", "Script", "ScriptError", "read_script"]

OPENING = "# /// script"
_BLOCK = re.compile(r"^# /// script$\n((?:^#(?:| .*)$\n)+?)^# ///$", re.MULTILINE)
_MOST = 64 << 10


class ScriptError(ValueError):
    """A block is not what it must be; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a block says.

    Attributes:
        dependencies: The packages that the file needs.
        requires_python: The Pythons that it runs on, or None.
    """

    dependencies: tuple[str, ...] = ()
    requires_python: str | None = None


def read_script(text: str) -> Script | None:
    """The block of a file, or None where it has none.

    Args:
        text: The file's text.

    Raises:
        ScriptError: It has two, or one that cannot be read.
    """
    if OPENING not in text:
        return None
    found = _BLOCK.findall(text.replace("\r\n", "\n"))
    if len(found) > 1:
        raise ScriptError("There are two `# /// script` blocks.")
    if not found:
        return None
    lines = (line[2:] for line in found[0].splitlines())
    content = "\n".join(lines)
    if len(content) > _MOST:
        raise ScriptError(f"The `# /// script` block is longer than {_MOST:,} characters.")
    import tomllib  # only for those that have one

    try:
        data = tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        raise ScriptError(f"The `# /// script` block is no TOML: {error}.") from error
    dependencies, python = data.get("dependencies", []), data.get("requires-python")
    if not isinstance(dependencies, list) or not all(isinstance(d, str) for d in dependencies):
        raise ScriptError("`dependencies` of the `# /// script` block is no list of strings.")
    if python is not None and not isinstance(python, str):
        raise ScriptError("`requires-python` of the `# /// script` block is no string.")
    return Script(tuple(dependencies), python)
