"""``pylock.toml`` of an archive: which packages, of which versions, by which hashes (PEP 751).

The URLs in it are never followed: a package comes from where this machine's own uv is told to look,
and is what was locked if its hash says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core.checks.requirements import lines_digest, read_requirements, read_toml
from mar_core.checks.subject import LOCK
from mar_core.checks.table import rule_finding
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.pylock import Package, Pylock

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding

__all__ = [
    "LOCK", "Lock", "LockError", "Pin", "is_stale", "lock_findings", "parse_lock", "read_lock",
]  # fmt: skip

_MOST = 4 << 20
_LONGEST_LINE = 8192  # a key of a million dots would take tomllib hours
_HASH = re.compile(r"[0-9a-f]{64,128}")
_STRONG = ("sha512", "sha384", "sha256")


class LockError(ValueError):
    """A lock is not one, or cannot be installed; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock, for this machine.

    Attributes:
        name: Its normalized name.
        version: Its one version.
        hashed: ``sha256:…`` of the one file that may be installed; empty where that is a source
            distribution, and none may be built.
    """

    name: str
    version: str
    hashed: str


class Lock:
    """A lock that has been read.

    Args:
        parsed: The lock.
        text: As it stands in the archive.

    Attributes:
        text: The same.
    """

    def __init__(self, parsed: Pylock, text: bytes) -> None:
        self._parsed = parsed
        self.text = text
        ours = (parsed.tool or {}).get("mar")
        self._ours: dict[str, Any] = ours if isinstance(ours, dict) else {}

    @property
    def versions(self) -> dict[str, str]:
        """Each package's version; of one that differs by platform, all, with a bar between."""
        found: dict[str, list[str]] = {}
        for package in self._parsed.packages:
            found.setdefault(str(package.name), []).append(str(package.version or "?"))
        return {name: " | ".join(dict.fromkeys(given)) for name, given in sorted(found.items())}

    @property
    def requires_python(self) -> str | None:
        """The Pythons that it is for."""
        return str(self._parsed.requires_python) if self._parsed.requires_python else None

    @property
    def requirements(self) -> str | None:
        """The digest of the requirements that it was made of, where mar made it."""
        return _text(self._ours.get("requirements"))

    @property
    def for_torch(self) -> frozenset[str]:
        """Torch and torchvision, and what is there for their sake alone, where mar made it."""
        names = self._ours.get("torch")
        listed = names if isinstance(names, list) else ["torch", "torchvision"]
        return frozenset(name for name in listed if isinstance(name, str))

    def faults(self) -> Iterator[str]:
        """Why it cannot be installed anywhere, a sentence for each kind of fault."""
        direct = [str(p.name) for p in self._parsed.packages if p.is_direct or p.version is None]
        if direct:
            yield f"{_listed(direct)} would come from a URL or a path, with no index between."
        weak = [str(p.name) for p in self._parsed.packages if not p.is_direct and not _hashed(p)]
        if weak:
            yield f"{_listed(weak)} {'has' if len(weak) == 1 else 'have'} no SHA-256."

    def pins(self, *, allow_build: bool = False) -> list[Pin]:
        """What to install on this machine, with this Python.

        Args:
            allow_build: Take source distributions where there is no wheel for this machine.

        Raises:
            LockError: The lock is for other machines, or is none to install from.
        """
        from packaging.pylock import PylockSelectError

        for fault in self.faults():
            raise LockError(fault)
        try:
            chosen = list(self._parsed.select())
        except PylockSelectError as error:
            raise LockError(f"It is not for this machine: {printable(str(error))}.") from error
        except (ValueError, RecursionError) as error:
            raise LockError(f"It cannot be read: {printable(str(error))[:200]}.") from error
        found = []
        for package, source in chosen:
            is_wheel = source in (package.wheels or ())
            hashed = _strongest(source) if is_wheel or allow_build else ""
            found.append(Pin(str(package.name), str(package.version), hashed))
        return found


def parse_lock(text: bytes) -> Lock:
    """Read a lock.

    Args:
        text: What the file holds.

    Raises:
        LockError: It is none.
    """
    from packaging.pylock import Pylock, PylockValidationError

    if len(text) > _MOST:
        raise LockError(f"It is {len(text):,} bytes; at most {_MOST:,} are read.")
    if any(len(line) > _LONGEST_LINE for line in text.splitlines()):
        raise LockError(f"A line of it is longer than {_LONGEST_LINE:,} bytes.")
    try:
        return Lock(Pylock.from_dict(read_toml(text.decode())), text)
    except PylockValidationError as error:
        raise LockError(f"It is no lock of PEP 751: {printable(str(error))[:200]}.") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise LockError(f"It is no TOML: {printable(str(error))[:200]}.") from error


def read_lock(subject: Subject) -> Lock | None:
    """The lock of an archive, or None where it has none.

    Raises:
        LockError: It is not what it must be.
    """
    member = subject.archive.members.get(LOCK)
    if member is None:
        return None
    if member.size > _MOST:
        raise LockError(f"It is {member.size:,} bytes; at most {_MOST:,} are read.")
    return parse_lock(subject.archive.read(LOCK))


def lock_findings(subject: Subject) -> Iterator[Finding]:
    """What is odd about the lock.

    Args:
        subject: The archive.
    """
    try:
        lock = read_lock(subject)
    except LockError as error:
        yield rule_finding("MAR-Q008", str(error), member=LOCK)
        return
    if lock is None:
        return
    for fault in lock.faults():
        yield rule_finding("MAR-Q008", fault, member=LOCK)
    if is_stale(lock, subject):
        message = "The lock was made of other requirements than those beside it."
        yield rule_finding("MAR-Q009", message, member=LOCK)


def is_stale(lock: Lock, subject: Subject) -> bool:
    """Whether the requirements have changed since they were locked, as far as the lock says."""
    made_of = lock.requirements
    return made_of is not None and made_of != lines_digest(read_requirements(subject))


def _hashed(package: Package) -> bool:
    sources = [*(package.wheels or ()), *([package.sdist] if package.sdist else [])]
    return bool(sources) and all(_strongest(source) for source in sources)


def _strongest(source: Any) -> str:
    """``sha256:…`` of a file, or nothing where it has no hash that can be relied on."""
    for algorithm in _STRONG:
        value = source.hashes.get(algorithm)
        if isinstance(value, str) and _HASH.fullmatch(value):
            return f"{algorithm}:{value}"
    return ""


def _listed(names: list[str], most: int = 5) -> str:
    more = len(names) - most
    return f"{', '.join(names[:most])}{f' and {more} more' if more > 0 else ''}"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
