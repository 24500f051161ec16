"""Which members are worth a scan."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core import MarError, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mar_core import Archive, Finding

__all__ = ["PICKLE_CODES", "PICKLE_MARKS", "Candidate", "candidates"]

# The rules that say what a pickle asks for; with the user's word they only warn.
PICKLE_CODES = frozenset({"MAR-W003", "MAR-W004", "MAR-W005", "MAR-W011", "MAR-W016"})
PICKLE_MARKS = tuple(b"\x80" + bytes([protocol]) for protocol in range(6))
GZIP_MARK, BZIP2_MARK, XZ_MARK = b"\x1f\x8b", b"BZh", b"\xfd7zXZ"
ZLIB_MARKS = (b"x\x01", b"x^", b"x\x9c", b"x\xda")
_ZIP, _7Z, _NUMPY = b"PK\x03\x04", b"7z\xbc\xaf'\x1c", b"\x93NUMPY"
_CONTAINERS = (_ZIP, _7Z, _NUMPY, GZIP_MARK, BZIP2_MARK, XZ_MARK, *ZLIB_MARKS)
# What the pickles of protocols 0 and 1, which have no mark, begin with.
_OLD = tuple(bytes([byte]) for byte in b"(]})cilFGIJKLMNSTUVX")
_PICKLES = (".pkl", ".pickle", ".pck", ".p", ".joblib")
_UNKNOWN_FORMAT = "MAR-W014"
_MANIFEST = "MAR-INF/MANIFEST.json"
_OTHERS = (".pt", ".pth", ".ckpt", ".npy", ".npz")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member to be scanned.

    Attributes:
        name: Its name.
        head: Its first bytes.
        named: Whether its name says that it is a pickle.
    """

    name: str
    head: bytes
    named: bool

    @property
    def suffix(self) -> str:
        """The ending of its name, with the dot."""
        return posixpath.splitext(self.name)[1].lower()


def candidates(archive: Archive, findings: Sequence[Finding]) -> Iterator[Candidate]:
    """The members that look like pickles, or like what may hold one, and are not refused already.

    Args:
        archive: The archive.
        findings: What the rules found.
    """
    refused = {f.member for f in findings if f.severity is Severity.ERROR}
    sound = _sound_weights(archive, findings)
    for name in archive.members:
        if name in refused or name in {sound, _MANIFEST} or name.endswith(".py"):
            continue
        try:
            with archive.open(name) as stream:
                head = stream.read(8)
        except MarError:  # damaged: the rules say so
            continue
        named = name.lower().endswith(_PICKLES)
        marked = head.startswith((*PICKLE_MARKS, *_CONTAINERS, *_OLD))
        if head and (named or marked or name.lower().endswith(_OTHERS)):
            yield Candidate(name, head, named)


def _sound_weights(archive: Archive, findings: Sequence[Finding]) -> str | None:
    """The weights, which the rules walk through to the end when they know the format."""
    try:
        name = archive.manifest.serialized_file
    except MarError:
        return None
    doubted = {f.member for f in findings if f.code in {*PICKLE_CODES, _UNKNOWN_FORMAT}}
    return None if name in doubted else name
