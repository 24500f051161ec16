"""Environments of archives, kept beside the unpacked archives and in the same way.

An environment is a virtual environment that uv has filled from a lock. Its key says all that it
depends on, so archives with the same lock share one. It is made in a private folder and renamed
into place, by one process while others wait; a process that is killed leaves nothing that counts.
uv is called as a program: it resolves and installs, and mar does neither.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

from mar_core.cache.entries import have_entry, is_being_made
from mar_core.cache.entry import ENVIRONMENT, NOTE, read_note
from mar_core.cache.location import prepared_place
from mar_core.errors import ArchiveError, PackagesError, UsageError
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

__all__ = [
    "VENV", "environment", "find_uv", "install", "logger", "python_of", "site_packages_of",
    "uv",
]  # fmt: skip

VENV = "venv"
_PINS = "requirements.txt"
# What is said while an environment is made; shown as `mar: info:` lines.
logger = logging.getLogger("mar_core.environments")

_NO_NETWORK = re.compile("network (was|connectivity is) disabled", re.IGNORECASE)
_NO_BUILD = re.compile("--no-build|building source distributions is disabled", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<=://)[^/@\s]+@")
_LONGEST = 2000
# What is told of all that it says.
_SHOWN = ("Download", "Build", "Prepared", "Installed")


def environment(
    key: Sequence[str], *, name: str, source: str, fill: Callable[[Path], None]
) -> Path:
    """The environment of a key, made where it is not there.

    Args:
        key: All that it depends on besides this Python and this platform.
        name: The model that it is for.
        source: The archive that it is for.
        fill: Makes it in a folder, by ``install``.

    Returns:
        The virtual environment's folder. It stays at least until this process ends.

    Raises:
        ArchiveError: It cannot be made.
        UsageError: uv is not installed.
    """
    here = [sys.implementation.cache_tag or "", platform.python_version(), sys.base_prefix,
            sysconfig.get_platform(), *platform.libc_ver()]  # fmt: skip
    digest = hashlib.sha256(json.dumps([*key, *here]).encode()).hexdigest()
    folder = prepared_place() / f"{ENVIRONMENT}{digest}"
    if is_being_made(folder):
        logger.info("Another mar is making the environment of %s; waiting for it.", name)

    def make(new: Path) -> None:
        fill(new)
        _write_note(new, name=name, source=source)

    if not have_entry(folder, fill=make, usable=_is_usable):
        raise ArchiveError(
            f"The environment in {folder} is damaged, and somebody uses it.",
            hint="End what uses it, then run `mar cache --clear`.",
        )
    return folder / VENV


def install(
    folder: Path, pins: Iterable[str], *, name: str, allow_build: bool, offline: bool
) -> None:
    """Make a virtual environment with some packages, each by its hash.

    Args:
        folder: Where; an existing folder.
        pins: Lines such as ``numpy==2.1.0 --hash=sha256:…``, all that shall be there.
        name: The model that it is for.
        allow_build: Build source distributions.
        offline: Use no network.

    Raises:
        ArchiveError: uv failed.
        UsageError: uv is not installed.
    """
    doing = f"The environment of {name} cannot be made"
    venv = folder / VENV
    words = ["venv", "--quiet", "--relocatable", "--no-project", "--python", sys.executable]
    uv([*words, str(venv)], doing=doing)
    lines = list(pins)
    if not lines:
        return
    (folder / _PINS).write_text("\n".join([*lines, ""]), encoding="utf-8")
    flags = ["--require-hashes"]
    flags += [] if allow_build else ["--no-build"]
    flags += ["--offline"] if offline else []
    uv(
        ["pip", "sync", "--python", str(python_of(venv)), *flags, str(folder / _PINS)],
        doing=doing,
    )


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_packages_of(venv: Path) -> list[Path]:
    """Where the packages of an environment that was made here lie."""
    given = {"base": str(venv), "platbase": str(venv)}
    paths = (sysconfig.get_path(name, "venv", given) for name in ("purelib", "platlib"))
    return [venv / path for path in dict.fromkeys(paths)]


def _is_usable(folder: Path) -> bool:
    """Whether it is whole, and the Python that it was made with is still there."""
    return bool(read_note(folder)) and os.access(python_of(folder / VENV), os.X_OK)


def _write_note(folder: Path, *, name: str, source: str) -> None:
    sizes = [
        os.lstat(os.path.join(parent, file)).st_size  # noqa: PTH118 - many files
        for parent, _, files in os.walk(folder)
        for file in files
    ]
    note = {
        "name": name, "source": source, "size": sum(sizes), "members": {}, "files": len(sizes),
    }  # fmt: skip
    (folder / NOTE).write_text(json.dumps(note), encoding="utf-8")


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
