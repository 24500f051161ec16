"""The user's word that an archive may run code when its weights are loaded.

It is given for one command with ``--trust``, for a server with ``MAR_TRUST``, or once for all for
the content of an archive, or for a folder, with ``mar trust``: a file in the user's config folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mar_core.findings import Finding
    from mar_core.format import Archive

__all__ = [
    "TRUST_CODES", "Trusted", "content_digest", "is_trusted", "list_trusted", "needed_trust",
    "revoke", "trust", "trusts_everything",
]  # fmt: skip

# What the user's word turns from an error into a warning.
TRUST_CODES = frozenset({"MAR-W003", "MAR-W004", "MAR-W005", "MAR-W011", "MAR-W013", "MAR-W016"})

VARIABLE = "MAR_TRUST"
_YES, _NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
_DIGEST_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Something that the user trusts.

    Attributes:
        name: The archive or the folder, as it was named then.
        since: When it was trusted, ISO 8601.
        digest: The digest of the archive's content; None for a folder.
        folder: The folder whose archives are trusted, absolute; None for an archive.
    """

    name: str
    since: str
    digest: str | None = None
    folder: str | None = None

    @property
    def key(self) -> str:
        """What it is told from others by, and revoked by: the digest, or the folder."""
        return self.digest or self.folder or ""


def is_trusted(archive: Archive, *, asked: bool = False) -> bool:
    """Whether the user has given the word for an archive, in whatever way.

    Args:
        archive: The archive, open.
        asked: Whether it was given with this command.

    Raises:
        UsageError: ``MAR_TRUST`` says neither yes nor no.
    """
    if asked or trusts_everything():
        return True
    if archive.path is None:
        return False
    place, known = archive.path.resolve(), list_trusted()
    folders = [Path(entry.folder) for entry in known if entry.folder]
    if any(place.is_relative_to(folder) for folder in folders):
        return True
    digests = {entry.digest for entry in known if entry.digest}
    try:
        return bool(digests) and content_digest(archive) in digests
    except ArchiveError:  # what cannot be read is not what was trusted; the rules say why
        return False


def trusts_everything() -> bool:
    """Whether ``MAR_TRUST`` gives the word for every archive.

    Raises:
        UsageError: It says neither yes nor no.
    """
    value = os.environ.get(VARIABLE, "").strip().lower()
    if value not in _YES | _NO:
        raise UsageError(f"{VARIABLE} is {value[:50]!r}; it must be 1 or 0.")
    return value in _YES


def needed_trust(findings: Iterable[Finding]) -> bool:
    """Whether an archive that was let through was so on the user's word."""
    return any(finding.code in TRUST_CODES for finding in findings)


def trust(path: str | os.PathLike[str]) -> Trusted:
    """Trust an archive for good, by its content; or all archives below a folder.

    Args:
        path: A ``.mar``, a ``.tar.gz``, an unpacked archive, or a folder of archives.

    Raises:
        ArchiveError: It is not there, cannot be read, or the config folder cannot be written.
    """
    from datetime import UTC, datetime

    from mar_core.format.manifest import MANIFEST_NAME
    from mar_core.format.reader import open_archive

    given = Path(path)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    if given.is_dir() and not (given / MANIFEST_NAME).is_file():
        entry = Trusted(name=given.name, since=since, folder=str(given.resolve()))
    else:
        with open_archive(given) as archive:
            entry = Trusted(name=given.name, since=since, digest=content_digest(archive))
    _write(entry)
    return entry


def revoke(what: str | os.PathLike[str]) -> Trusted:
    """Trust something no longer.

    Args:
        what: The archive, the folder, or the beginning of a digest that is listed.

    Raises:
        UsageError: Nothing that is trusted is meant by it, or more than one thing.
    """
    given = os.fspath(what)
    known = list_trusted()
    meant = [entry for entry in known if entry.key in _keys(given)]
    if not meant:
        meant = [e for e in known if e.digest and len(given) > 5 and e.digest.startswith(given)]  # noqa: PLR2004
    if len(meant) != 1:
        raise UsageError(
            f"{given!r} is not trusted." if not meant else f"{given!r} is more than one thing.",
            hint="`mar trust` lists what is.",
        )
    if (folder := _folder()) is not None:
        (folder / _name_of(meant[0])).unlink(missing_ok=True)
    return meant[0]


def _keys(given: str) -> set[str]:
    """What a trusted thing may be known by that the user names so."""
    keys = {given, str(Path(given).resolve())}
    with contextlib.suppress(ArchiveError):
        from mar_core.format.reader import open_archive

        with open_archive(given) as archive:
            keys.add(content_digest(archive))
    return keys


def list_trusted() -> list[Trusted]:
    """What the user trusts for good, the oldest first."""
    folder = _folder()
    files = () if folder is None else folder.glob("*.json")
    found = [entry for file in files if (entry := _read(file)) is not None]
    return sorted(found, key=lambda entry: (entry.since, entry.key))


def content_digest(archive: Archive) -> str:
    """The SHA-256, in hex, of the names and the bytes of all members.

    Where the manifest of a packed archive lists the digests of all members they are taken from
    there; unpacking compares them with the bytes.

    Raises:
        ArchiveError: A member cannot be read.
    """
    from mar_core.format.view import member_digest

    listed = _listed(archive) if archive.kind in {"zip", "tgz"} else {}
    digest = hashlib.sha256()
    for name in sorted(archive.members):
        line = json.dumps([name, listed.get(name) or member_digest(archive, name)])
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _listed(archive: Archive) -> dict[str, str]:
    """The digest of every member but the manifest as that lists them; of none where one lacks."""
    from mar_core.format.manifest import MANIFEST_NAME

    members: Any = archive.manifest.mar.get("members")
    if not isinstance(members, dict) or members.keys() != archive.members.keys() - {MANIFEST_NAME}:
        return {}
    digests: dict[str, str] = {}
    for name, entry in members.items():
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(digest, str) or len(digest) != _DIGEST_LENGTH:
            return {}
        digests[name] = digest
    return digests


def _folder() -> Path | None:
    """A file for each trusted thing, so that two commands at once cannot lose one.

    None where nobody knows a home folder. Where one stands is no place for it: who may write there
    would say what is trusted.
    """
    from platformdirs import user_config_path

    try:
        usual = user_config_path("mar", appauthor=False)
    except RuntimeError:
        return None
    return usual / "trusted" if usual.is_absolute() else None


def _name_of(entry: Trusted) -> str:
    return f"{hashlib.sha256(entry.key.encode()).hexdigest()}.json"


def _write(entry: Trusted) -> None:
    folder = _folder()
    if folder is None:
        raise ArchiveError(
            "What is trusted cannot be written down: this user has no home folder.",
            hint=f"Set HOME or XDG_CONFIG_HOME, or trust for one process by {VARIABLE}=1.",
        )
    file = folder / _name_of(entry)
    partial = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.write_text(json.dumps(asdict(entry), indent=2), encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise ArchiveError(f"{file} cannot be written: {error.strerror}.") from error


def _read(file: Path) -> Trusted | None:
    """One trusted thing; a file that is none, or was put under another's name, trusts nothing."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        entry = Trusted(**values)
    except (OSError, ValueError, TypeError):
        return None
    texts = all(value is None or isinstance(value, str) for value in values.values())
    return entry if texts and entry.key and _name_of(entry) == file.name else None
