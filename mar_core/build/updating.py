"""Changing parts of an archive, as ``mar update`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.build.packing import Written
from mar_core.build.request import ArchiveFormat, Runtime, in_a_tuple, path_of
from mar_core.build.rewrite import rewrite, rewrite_end
from mar_core.build.update import Changes, plan_update
from mar_core.errors import UsageError
from mar_core.format import open_archive
from mar_core.format.digests import quiet
from mar_core.format.locks import alone
from mar_core.format.writer import write
from mar_core.format.zip_archive import ZipArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


__all__ = ["apply_changes", "update"]


def update(
    path: str | Path,
    *,
    handler: str | Path | None = None,
    version: str | None = None,
    model_file: str | Path | None = None,
    serialized_file: str | Path | None = None,
    extra_files: str | Path | Sequence[str | Path] = (),
    runtime: str | Runtime | None = None,
    requirements_file: str | Path | None = None,
    lock: bool = False,
    allow_build: bool = False,
    config_file: str | Path | None = None,
    remove: Sequence[str] = (),
    allow_pickle: bool = False,
    in_place: bool = False,
) -> Path:
    """Change parts of an archive, as ``mar update`` does.

    What comes out is, byte by byte, what a fresh archive from the same files would be. Of a zip
    archive only the end is written anew; the weights are not read.

    Args:
        path: The archive.
        handler: As for ``archive``, and so are the others; None leaves a part as it is.
        version: The model's version.
        model_file: The Python file that holds one ``torch.nn.Module`` class.
        serialized_file: The weights.
        extra_files: Files to add or to replace.
        runtime: ``python``, ``python3`` or ``LSP``.
        requirements_file: A pip requirements file.
        lock: Resolve the requirements with uv, and keep versions and hashes as ``pylock.toml``.
        allow_build: Lock packages that have no wheels, too.
        config_file: A model-config.yaml.
        remove: Members to take out.
        allow_pickle: Take weights that can run code when loaded.
        in_place: Change the end of the file itself: takes no time and no room for the weights. A
            crash leaves the old archive or the new one, but nobody may read it meanwhile.

    Returns:
        The archive's path.

    Raises:
        UsageError: An argument makes no sense, or a file is missing.
        ValidationError: The archive is not sound, or would not be. It stays as it is.
        ArchiveError: The archive cannot be written. It stays as it is.

    Example:
        >>> mar_core.update("mnist.mar", handler="new_handler.py")
        PosixPath('mnist.mar')
    """
    changes = Changes(
        handler=None if handler is None else str(handler),
        version=version,
        model_file=path_of(model_file),
        serialized_file=path_of(serialized_file),
        extra_files=in_a_tuple(extra_files),
        runtime=None if runtime is None else Runtime(runtime),
        requirements_file=path_of(requirements_file),
        lock=lock,
        allow_build=allow_build,
        config_file=path_of(config_file),
        remove=tuple(remove),
    )
    return apply_changes(Path(path), changes, allow_pickle=allow_pickle, in_place=in_place).path


def apply_changes(
    path: Path,
    changes: Changes,
    *,
    allow_pickle: bool = False,
    in_place: bool = False,
    progress: Callable[[int], None] = quiet,
) -> Written:
    """Change parts of an archive.

    Args:
        path: The archive.
        changes: What to change.
        allow_pickle: Take weights that can run code when loaded.
        in_place: Change the end of the file itself, in place of replacing it.
        progress: Told the bytes done since it was last called.

    Raises:
        UsageError: An argument makes no sense, or a file is missing.
        ValidationError: The archive is not sound, or would not be. It stays as it is.
        ArchiveError: The archive cannot be written. It stays as it is.
    """
    from mar_core.checks.validation import check
    from mar_core.plugins import get_plugins

    plugins = get_plugins()
    target = path.resolve()
    # Of two who update at once, the second waits, and changes what the first has written.
    with alone(target), open_archive(path) as archive:
        if in_place and not isinstance(archive, ZipArchive):
            raise UsageError(
                f"{path} cannot be changed in place: it is no .mar.", hint="Leave --in-place out."
            )
        before = target.stat()
        sources = plan_update(archive, changes)
        findings = check(sources, plugins=plugins, allow_pickle=allow_pickle)
        if isinstance(archive, ZipArchive):
            put = rewrite_end if in_place else rewrite
            manifest = put(archive, sources, target, instead_of=before, progress=progress)
        else:
            tgz = ArchiveFormat.TGZ if archive.kind == "tgz" else ArchiveFormat.NO_ARCHIVE
            manifest = write(
                sources, target, archive_format=tgz, force=True, instead_of=before,
                progress=progress,
            )  # fmt: skip
    plugins.archive_written(path, manifest)
    return Written(path=path, manifest=manifest, findings=tuple(findings))
