"""Hooks of an archive: what it is made of, what is wrong with it, that it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mar_core.build.request import ArchiveRequest, Imported
    from mar_core.findings import Finding
    from mar_core.format import Archive, ExtraFile
    from mar_core.format.manifest import Manifest

__all__ = [
    "mar_archive_written",
    "mar_collect_files",
    "mar_import",
    "mar_validate_archive",
]


@hookspec(firstresult=True)
def mar_import(source: Path, request: ArchiveRequest, folder: Path) -> Imported | None:
    """Say what a source is, and what an archive of it holds.

    Called by ``mar archive --from SOURCE``, before anything is planned. First result; an importer
    for a special case of what another takes is marked ``@hookimpl(tryfirst=True)``. Must not
    import, unpickle or run anything of the source.

    Args:
        source: The file or folder; of a ``.tar.gz``, the folder that it is unpacked to. Its files
            are regular ones and its links stay inside; what they hold is anybody's.
        request: What the flags said; ``handler`` is ``""`` and others None where they said nothing.
        folder: An empty folder, there until the archive is written, for files to generate.

    Returns:
        What it is, the request with what it adds, and why; None where it is another's. What the
        user said by flags, or in a model-config.yaml, wins over it.

    Example:
        >>> @hookimpl
        ... def mar_import(source, request):
        ...     if not (source / "acme.json").is_file():
        ...         return None
        ...     request = dataclasses.replace(request, handler="acme", extra_files=(source,))
        ...     return Imported(what="a model of Acme", request=request)
    """


@hookspec
def mar_collect_files(request: ArchiveRequest) -> Iterable[ExtraFile] | None:
    """Add files to an archive that is being built.

    Called once by ``mar archive``, before validation. Each on its own; one that raises stops the
    archive with an error that names it.

    Args:
        request: What the user asked for.

    Returns:
        The files to add, or None. A name that is taken by another file is an error.

    Example:
        >>> @hookimpl
        ... def mar_collect_files(request):
        ...     return [ExtraFile(name="LICENSE", content=Path("LICENSE"))]
    """


@hookspec
def mar_validate_archive(archive: Archive, findings: Sequence[Finding]) -> Iterable[Finding] | None:
    """Look at an archive and say what is wrong with it.

    Called by ``mar archive`` before anything is written, by ``mar validate``, and by ``mar run``
    before anything of the archive is imported. Each on its own: a plugin that raises becomes the
    finding ``MAR-X001``. Must not import, unpickle or run anything of the archive.

    Args:
        archive: The archive, open for bounded reading; possibly not yet written.
        findings: What is known of it so far: what opening it found, what the rules of mar found,
            which are asked first, and what the plugins found that were asked before.

    Returns:
        Findings; one of severity error refuses the archive.

    Example:
        >>> @hookimpl
        ... def mar_validate_archive(archive):
        ...     if "LICENSE" not in archive.members:
        ...         yield Finding(code="ACME-001", message="There is no LICENSE.")
    """


@hookspec
def mar_archive_written(path: Path, manifest: Manifest) -> None:
    """Know that an archive has been written.

    Called after the archive has its final name. Observing.

    Args:
        path: The archive, or the folder of a ``no-archive``.
        manifest: Its manifest, with the digests of its members.

    Example:
        >>> @hookimpl
        ... def mar_archive_written(path, manifest):
        ...     Path(f"{path}.digest").write_text(manifest.digest)
    """
