"""uv, called as a program: it resolves and installs, and mar does neither."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from mar_core.errors import PackagesError, UsageError
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_uv", "logger", "uv"]

# What is said while an environment is made; shown as `mar: info:` lines.
logger = logging.getLogger("mar_core.environments")

_NO_NETWORK = re.compile("network (was|connectivity is) disabled", re.IGNORECASE)
_NO_BUILD = re.compile("--no-build|building source distributions is disabled", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<=://)[^/@\s]+@")
_LONGEST = 2000
# What is told of all that it says.
_SHOWN = ("Download", "Build", "Prepared", "Installed")


def find_uv() -> str:
    """Where uv is: where its own package says, or on the path.

    Raises:
        UsageError: It is nowhere.
    """
    with contextlib.suppress(ImportError, FileNotFoundError):
        from uv import find_uv_bin

        return str(find_uv_bin())
    found = shutil.which("uv")
    if found is None:
        raise UsageError(
            "Locks and environments are made by uv, which is not installed.",
            hint="Install it: `pip install 'mar-core[env]'`.",
        )
    return found


def uv(words: Sequence[str], *, doing: str) -> None:
    """Run uv, and tell what it says as it says it.

    Args:
        words: Its arguments.
        doing: What fails where it fails: ``The environment of mnist cannot be made``.

    Raises:
        UsageError: It is not installed.
        PackagesError: It failed; the sentence has its reason.
    """
    # Ours alone decide: colours, bars, and which Python.
    command = [find_uv(), *words, "--color", "never", "--no-progress", "--no-python-downloads"]
    said: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stderr is not None  # noqa: S101 - asked for above
        try:
            for line in process.stderr:
                said.append(_ADDRESS.sub("…@", printable(line.rstrip())))
                if said[-1].lstrip().startswith(_SHOWN):
                    logger.info("uv: %s", said[-1].strip())
        except BaseException:  # Ctrl-C: what it was making is thrown away
            process.kill()
            raise
    if process.returncode:
        raise _failure(doing, said)


def _failure(doing: str, said: Sequence[str]) -> PackagesError:
    text = "\n".join(said)
    before, mark, after = text.partition("error: ")
    reason = " ".join((after if mark else before).split())
    reason, _, _ = reason.partition(" hint: ")
    if _NO_NETWORK.search(text):
        hint = "Run it once without --offline (and without UV_OFFLINE), where there is a network."
        return PackagesError(f"{doing} offline: {_sentence(reason)}", hint=hint)
    if "Hash mismatch" in text:
        hint = "Do not install it: it is not what was locked. Ask whoever made the archive."
        return PackagesError(f"{doing}: {_sentence(reason)}", hint=hint)
    if _NO_BUILD.search(text):
        hint = "Building runs code of the package: allow it with --allow-build if you trust it."
        return PackagesError(f"{doing}: {_sentence(reason)}", hint=hint)
    hint = "uv is told by its own configuration where packages are (UV_DEFAULT_INDEX and uv.toml)."
    return PackagesError(f"{doing}: {_sentence(reason)}", hint=hint)


def _sentence(reason: str) -> str:
    reason = reason.replace(" cause: ", ": ")[:_LONGEST].rstrip(". ")
    return f"{reason}."
