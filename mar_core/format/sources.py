"""An archive that is not packed: the files it will be made of, where they lie."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ArchiveError
from mar_core.format.contents import Content, member_of, open_content
from mar_core.format.manifest import MANIFEST_NAME, Manifest
from mar_core.format.view import Archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mar_core.findings import Finding

__all__ = ["Sources"]


class Sources(Archive):
    """What a request comes to before anything is written; it can be read, checked and run.

    Args:
        manifest: The manifest, without digests until the archive is written.
        contents: What each member but the manifest is made of, in the order of the archive.
        findings: What putting it together found.
    """

    path = None
    kind = "sources"

    def __init__(
        self,
        manifest: Manifest,
        contents: Mapping[str, Content],
        *,
        findings: Iterable[Finding] = (),
    ) -> None:
        self.manifest = manifest
        self.findings = tuple(findings)
        self.contents: Mapping[str, Content] = MappingProxyType(
            {**contents, MANIFEST_NAME: manifest.to_bytes()}
        )
        self.members = MappingProxyType(
            {name: member_of(name, content) for name, content in self.contents.items()}
        )

    def keeping(self, key: str, value: Any) -> Sources:
        """The same sources with one more of mar's own keys in the manifest."""
        data = {**self.manifest.data, "mar": {**self.manifest.mar, key: value}}
        contents = {name: self.contents[name] for name in self.contents if name != MANIFEST_NAME}
        return Sources(Manifest(data), contents, findings=self.findings)

    def open(self, name: str) -> BinaryIO:
        """A stream over what one member is made of.

        Raises:
            ArchiveError: There is no such member, or it cannot be read.
        """
        if name not in self.contents:
            raise ArchiveError(f"{self} have no member {name!r}.")
        return open_content(self.contents[name])

    def __str__(self) -> str:
        return f"the sources of {self.manifest.model_name}"
