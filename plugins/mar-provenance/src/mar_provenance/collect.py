"""What can be known of the sources of an archive: their commits, and the packages used."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import ArchiveRequest

__all__ = ["provenance"]

PACKAGES = ("mar-core", "torch", "torchvision")


def provenance(request: ArchiveRequest) -> dict[str, Any]:
    """What is known of a request's sources.

    Args:
        request: What ``mar archive`` was asked for.

    Returns:
        ``repositories``: for each its ``url``, ``commit``, ``files`` and the ``changed`` ones among
        them; ``packages``: versions by name.
    """
    roots: dict[Path, list[Path]] = {}
    for file in _files(request):
        root = _root(file)
        if root is not None:
            roots.setdefault(root, []).append(file)
    return {
        "repositories": [_repository(root, files) for root, files in sorted(roots.items())],
        "packages": {"python": platform.python_version(), **_packages()},
    }


def _files(request: ArchiveRequest) -> Iterator[Path]:
    """The files that flags name; patterns of extra files are not followed."""
    handler = Path(request.handler.partition(":")[0])
    named = (
        handler if handler.suffix == ".py" else None,
        request.model_file,
        request.serialized_file,
        request.config_file,
        request.requirements_file,
    )
    for file in named:
        if file is not None and file.is_file():
            yield file.resolve()


def _root(file: Path) -> Path | None:
    found = _git(file.parent, "rev-parse", "--show-toplevel")
    return Path(found) if found else None


def _repository(root: Path, files: list[Path]) -> dict[str, Any]:
    names = sorted({file.relative_to(root).as_posix() for file in files})
    changed = _git(root, "status", "--porcelain=v1", "-z", "--ignored", "--", *names) or ""
    return {
        "url": _without_password(_git(root, "config", "--get", "remote.origin.url") or ""),
        "commit": _git(root, "rev-parse", "--verify", "--quiet", "HEAD") or None,
        "files": names,
        # A rename has a second name after it, which is none of ours.
        "changed": sorted({line[3:] for line in changed.split("\0")} & set(names)),
    }


def _git(folder: Path, *words: str) -> str | None:
    """What git says, or None where there is no git, no repository, or no answer."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None


def _without_password(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme and "@" in parts.netloc:
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        return urlunsplit(parts)
    return url or None


def _packages() -> dict[str, str]:
    return {name: found for name in PACKAGES if (found := _version(name))}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
