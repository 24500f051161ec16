"""The contents of an archive in the making: one file at one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.build.extra_files import expand_items, split_items
from mar_core.build.secrets import secrets_in
from mar_core.errors import UsageError
from mar_core.findings import Finding, has_errors
from mar_core.format.codes import refusal
from mar_core.format.limits import DEFAULT_LIMITS
from mar_core.format.manifest import MANIFEST_NAME, Manifest
from mar_core.format.names import check_names
from mar_core.format.sources import Content, Sources, in_order, same_content

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Assembly"]


class Assembly:
    """The contents of an archive while they are collected."""

    def __init__(self) -> None:
        self.contents: dict[str, Content] = {}
        self._owners: dict[str, str] = {MANIFEST_NAME: "the manifest"}
        self._findings: list[Finding] = []

    def add_named(self, flag: str, path: Path) -> None:
        """Put the file of one flag at the root.

        Raises:
            UsageError: It is no file, or its place is taken.
        """
        if path.is_dir():
            raise UsageError(f"{flag} {path} is a folder; it must be a file.")
        if not path.exists():
            raise UsageError(f"There is no file {str(path)!r}.", hint=f"Check {flag}.")
        if not path.is_file():
            raise UsageError(f"{flag} {path} is a device or a pipe; it must be a file.")
        self.add(path.name, path, owner=str(path))

    def add_extras(self, values: tuple[str | Path, ...], *, leave_out: Path | None) -> None:
        """Put the files of ``--extra-files`` at their places.

        Raises:
            UsageError: Something is not there, or its place is taken.
        """
        items = split_items(values)
        paths = frozenset() if leave_out is None else frozenset({leave_out.resolve()})
        files, findings = expand_items(items, leave_out=paths)
        self._findings.extend(findings)
        for file in files:
            self.add(file.name, file.source, owner=str(file.source))

    def add(self, name: str, content: Content, *, owner: str) -> None:
        """Put one file at one place; the same file a second time is no matter.

        Raises:
            UsageError: Another file is there.
        """
        taken = self._owners.setdefault(name, owner)
        if name not in self.contents and taken is owner:
            self.contents[name] = content
        elif not same_content(self.contents.get(name), content):
            raise UsageError(
                f"Two files go to the one place {name!r} in the archive: {taken} and {owner}.",
                hint="Rename one, or put one into a folder: --extra-files FILE=FOLDER/.",
            )

    def sources(self, manifest: Manifest) -> Sources:
        """Everything, in the order of the archive.

        Raises:
            ValidationError: Names of members are bad, or there are too many.
        """
        many = DEFAULT_LIMITS.too_many(len(self.contents) + 1)
        findings = [*self._findings, *check_names(self.contents), *([many] if many else [])]
        findings += secrets_in(self.contents)
        contents = in_order(self.contents, manifest.serialized_file)
        sources = Sources(manifest, contents, findings=findings)
        if has_errors(findings):
            raise refusal(f"What {manifest.model_name} would become", *findings)
        return sources
