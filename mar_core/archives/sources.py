"""An archive that is not packed: the files it will be made of, where they lie."""

from __future__ import annotations

import io
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, cast

from mar_core.archives.view import Archive, Member
from mar_core.errors import ArchiveError
from mar_core.manifest import MANIFEST_NAME, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mar_core.findings import Finding

__all__ = ["Sources"]


class Sources(Archive):
    """What a request comes to, before anything is written; `mar run` runs it just like that.

    Args:
        manifest: The manifest, without digests until the archive is written.
        contents: For each member but the manifest, its bytes or the file that holds them, in the
            order of the archive.
        findings: What putting it together found.
    """

    path = None
    kind = "sources"

    def __init__(
        self,
        manifest: Manifest,
        contents: Mapping[str, bytes | Path],
        *,
        findings: Iterable[Finding] = (),
    ) -> None:
        self._manifest = manifest
        self.findings = tuple(findings)
        self.contents = {**contents, MANIFEST_NAME: manifest.to_bytes()}
        self.members = MappingProxyType(
            {name: _member(name, content) for name, content in self.contents.items()}
        )

    def open(self, name: str) -> BinaryIO:
        """A stream over one source.

        Raises:
            ArchiveError: There is no such member, or its file cannot be read.
        """
        if name not in self.contents:
            raise ArchiveError(f"{self} have no member {name!r}.")
        content = self.contents[name]
        if isinstance(content, bytes):
            return io.BytesIO(content)
        try:
            return cast("BinaryIO", content.open("rb"))
        except OSError as error:
            raise ArchiveError(f"{content} cannot be read: {error.strerror}.") from error

    def __str__(self) -> str:
        return f"the sources of {self.manifest.model_name}"


def _member(name: str, content: bytes | Path) -> Member:
    source = None if isinstance(content, bytes) else content
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    return Member(name=name, size=size, compressed_size=size, source=source)
