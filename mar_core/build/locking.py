"""From requirements to a lock: uv resolves them once, for every platform, with hashes (PEP 751)."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.cache.environments import logger, uv
from mar_core.checks.lock import LOCK, Lock, parse_lock
from mar_core.checks.requirements import (
    lines_digest,
    read_requirements,
    requirement_findings,
    version_of,
)
from mar_core.checks.subject import Subject
from mar_core.errors import ArchiveError, UsageError
from mar_core.plugins import HOST
from mar_core.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mar_core.build.assembly import Assembly
    from mar_core.format import Archive
    from mar_core.format.manifest import Manifest

__all__ = ["TORCH", "add_lock", "check_plain", "locked", "resolve"]

TORCH = ("torch", "torchvision")
_PASSWORD = re.compile(r"(?<=://)[^/@\s\"]+@")
_NO_LOCK = 'lock-version = "1.0"\ncreated-by = "mar"\n'


def add_lock(assembly: Assembly, manifest: Manifest, *, allow_build: bool) -> None:
    """Put the lock of an archive's requirements among its contents.

    Args:
        assembly: The contents, but for the lock.
        manifest: What the archive says of itself.
        allow_build: Take packages that have no wheels.

    Raises:
        UsageError: There is nothing to lock, or it cannot be; or uv is not installed.
        ArchiveError: The requirements cannot be met together.
        ValidationError: Names of members are bad, or there are too many.
    """
    text = locked(assembly.sources(manifest), allow_build=allow_build)
    assembly.add(LOCK, text, owner="the lock")


def locked(archive: Archive, *, allow_build: bool = False) -> bytes:
    """The lock of an archive that is being made.

    Args:
        archive: What it holds, but for the lock.
        allow_build: Take packages that have no wheels.

    Raises:
        UsageError: It has no requirements, or some that cannot be locked; or uv is not installed.
        ArchiveError: They cannot be met together, or uv cannot find out.
    """
    subject = Subject(archive)
    lines = list(read_requirements(subject))
    check_plain(subject, "locked")
    if not lines:
        raise UsageError(
            "There are no requirements to lock.",
            hint="Name them by --requirements-file, or in a `# /// script` block of the handler.",
        )
    name = archive.manifest.model_name or "model"
    return resolve(lines, name=name, allow_build=allow_build)


def check_plain(subject: Subject, done: str) -> None:
    """Refuse requirements that lead elsewhere than to an index.

    Args:
        subject: The archive.
        done: What cannot be done to them: ``locked``.

    Raises:
        UsageError: A line names a URL, gives pip an option, or the like.
    """
    for found in requirement_findings(subject):
        raise UsageError(
            f"{found.member} cannot be {done}: {found.message}",
            hint="Write names, versions, markers and hashes; uv's own configuration says where "
            "packages are (UV_INDEX, UV_FIND_LINKS, uv.toml).",
        )


def resolve(
    lines: Iterable[tuple[int, str]],
    *,
    name: str,
    allow_build: bool = False,
    offline: bool = False,
) -> bytes:
    """Resolve requirements for this Python and later ones, on every platform.

    torch and torchvision are taken at the versions of this environment where the requirements
    allow that. The lock says which packages are there for their sake alone, and of which
    requirements it was made. mar-core is left out: it is always the one that runs.

    Args:
        lines: The requirements, with their numbers.
        name: The model that they are of.
        allow_build: Take packages that have no wheels.
        offline: Use no network.

    Raises:
        ArchiveError: They cannot be met together, or uv cannot find out.
        UsageError: uv is not installed.
    """
    given = list(lines)
    logger.info("Resolving %d %s of %s.", len(given), plural(len(given), "requirement"), name)
    with tempfile.TemporaryDirectory(prefix="mar-lock-") as scratch:
        folder = Path(scratch)
        asked = folder / "requirements.in"
        asked.write_text("\n".join([*(line for _, line in given), ""]), encoding="utf-8")
        flags = [] if allow_build else ["--no-build"]
        flags += ["--offline"] if offline else []
        text = _compiled(asked, _here(), [HOST], flags, name=name)
        found = _parsed(text, name)
        ours = {"requirements": lines_digest(given)}
        table = [f"{key} = {json.dumps(value)}" for key, value in ours.items()]
        names = set(found.versions)
        if names & set(TORCH):
            without = _compiled(asked, text, [HOST, *TORCH], flags, name=name)
            only = sorted(names - set(_parsed(without, name).versions))
            table.append(f"torch = {json.dumps(only)}")
    end = "\n".join(["", "[tool.mar]", *table, ""])
    return f"{text.rstrip()}\n{end}".encode()


def _compiled(
    asked: Path, preferred: str, excluded: list[str], flags: list[str], *, name: str
) -> str:
    """The lock of requirements as text; versions that ``preferred`` has are kept if they fit."""
    target, without = asked.with_name(LOCK), asked.with_name("excludes.txt")
    target.write_text(preferred, encoding="utf-8")
    without.write_text("\n".join([*excluded, ""]), encoding="utf-8")
    words = ["pip", "compile", str(asked), "--format", "pylock.toml", "--output-file", str(target)]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words += ["--universal", "--python", sys.executable, "--python-version", python]
    words += ["--no-header", "--generate-hashes", "--excludes", str(without), *flags]
    uv(words, doing=f"The requirements of {name} cannot be locked")
    return _PASSWORD.sub("", target.read_text(encoding="utf-8"))


def _here() -> str:
    """A lock of what is here and should stay: torch and torchvision, without local labels."""
    versions = {name: version_of(name) for name in TORCH}
    packages = [
        f'[[packages]]\nname = "{name}"\nversion = "{version.partition("+")[0]}"\n'
        for name, version in versions.items()
        if version is not None
    ]
    return "\n".join([_NO_LOCK, *packages])


def _parsed(text: str, name: str) -> Lock:
    try:
        return parse_lock(text.encode())
    except ValueError as error:
        raise ArchiveError(
            f"uv made a lock of {name} that cannot be read: {error}",
            hint="Update it: `pip install -U uv`.",
        ) from error
