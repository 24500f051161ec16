"""Making archives as ``mar archive`` does: plan, validate, write, tell the plugins."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.build.assembly import Assembly
from mar_core.build.plan import check_model_name, plan
from mar_core.build.request import ArchiveFormat, ArchiveRequest, Runtime, in_a_tuple, path_of
from mar_core.errors import ArchiveError, UsageError
from mar_core.format.atomic import check_place, is_inside, same_file
from mar_core.format.digests import quiet
from mar_core.format.locks import alone, scratch_folder
from mar_core.format.writer import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch

    from mar_core.findings import Finding
    from mar_core.format.manifest import Manifest
    from mar_core.format.sources import Sources

__all__ = ["Written", "archive", "create", "prepare_sources", "write_archive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An archive that has been written.

    Attributes:
        path: The file or folder.
        manifest: Its manifest, with the size and SHA-256 of every other member.
        findings: Warnings; had there been an error, nothing would have been written.
    """

    path: Path
    manifest: Manifest
    findings: tuple[Finding, ...] = ()


def archive(
    model_name: str | None = None,
    *,
    handler: str | Path | None = None,
    source: str | Path | None = None,
    model: torch.nn.Module | None = None,
    example: Any = None,
    save_as: str = "auto",
    version: str | None = None,
    model_file: str | Path | None = None,
    serialized_file: str | Path | None = None,
    extra_files: str | Path | Sequence[str | Path] = (),
    runtime: str | Runtime = Runtime.PYTHON,
    export_path: str | Path = ".",
    archive_format: str | ArchiveFormat = ArchiveFormat.DEFAULT,
    force: bool = False,
    requirements_file: str | Path | None = None,
    lock: bool = False,
    allow_build: bool = False,
    config_file: str | Path | None = None,
    convert: str | None = None,
    allow_pickle: bool = False,
    examples: Sequence[str | Path] = (),
    env: str | None = None,
) -> Path:
    """Write a model archive, as ``mar archive`` does.

    Args:
        model_name: The archive's name, and the output's base name.
        handler: A registered name, a file, ``file:entry`` or ``package.module:Class``.
        source: A file or folder that a plugin makes the rest of, as ``mar archive --from`` does.
        model: A network to save, in place of files; ``handler`` is then ``base_handler`` unless
            another is given.
        example: For ``model``: what one call of it takes, a tensor of a batch or a tuple of
            arguments. What was saved must answer it as the network does, to 1e-5.
        save_as: For ``model``: ``source``, the file of its class and safetensors; ``torchscript``;
            or ``auto``, the first of them that will do.
        version: The model's version, free text.
        model_file: The Python file that holds one ``torch.nn.Module`` class.
        serialized_file: The weights.
        extra_files: Files and folders. A ``Path`` is taken as it is; a string may be a comma list,
            hold patterns, and end in ``=folder/``.
        runtime: ``python``, ``python3`` or ``LSP``.
        export_path: The folder to write to; made if it is missing.
        archive_format: ``default``, ``zip-store``, ``tgz`` or ``no-archive``.
        force: Replace an archive that is there.
        requirements_file: A pip requirements file.
        lock: Resolve the requirements with uv, and keep versions and hashes as ``pylock.toml``.
        allow_build: Lock packages that have no wheels, too.
        config_file: A model-config.yaml.
        convert: ``safetensors`` turns a state dict into that.
        allow_pickle: Take weights that can run code when loaded.
        examples: Inputs to run once and record in the archive.
        env: The environment that they run in: the one that the archive brings (``auto``), mar's own
            (``off`` or None), or the folder of a virtual environment.

    Returns:
        The archive's path.

    Raises:
        UsageError: An argument makes no sense, or a file is missing.
        ValidationError: The archive would not be sound. Nothing is written.
        ArchiveError: The archive cannot be written. Nothing is left behind.

    Example:
        >>> mar_core.archive("echo", handler="echo.py", version="1.0", export_path="store")
        PosixPath('store/echo.mar')
    """
    asked = ArchiveRequest(
        model_name=model_name or "",
        handler="" if handler is None else str(handler),
        version=version,
        model_file=path_of(model_file),
        serialized_file=path_of(serialized_file),
        extra_files=in_a_tuple(extra_files),
        runtime=Runtime(runtime),
        export_path=Path(export_path),
        archive_format=ArchiveFormat(archive_format),
        force=force,
        requirements_file=path_of(requirements_file),
        lock=lock,
        allow_build=allow_build,
        config_file=path_of(config_file),
        allow_pickle=allow_pickle,
        examples=tuple(map(Path, examples)),
        env=env,
    )
    if model is not None:
        if source is not None or convert is not None:
            raise UsageError("model is given, and source or convert too.")
        return _create_of(model, example, asked, save_as)
    if source is None and not (model_name and handler):
        missing = "handler" if model_name else "model_name"
        raise UsageError(f"archive() needs {missing}.", hint="Or give it a source, or a model.")
    from mar_core.build.importing import requested  # for those who import something

    with requested(asked, source=path_of(source), convert=convert) as made:
        return create(made.request).path


def _create_of(model: torch.nn.Module, example: Any, asked: ArchiveRequest, save_as: str) -> Path:
    from mar_core.build.from_module import imported_module

    with scratch_folder() as folder:
        made = imported_module(model, example, asked, folder, save_as=save_as)
        return create(made.request).path


def create(request: ArchiveRequest, *, progress: Callable[[int], None] = quiet) -> Written:
    """Write the archive that a request asks for.

    Args:
        request: What goes in and where it goes.
        progress: Told the bytes done since it was last called.

    Returns:
        What was written.

    Raises:
        UsageError: A name is bad, a file is missing, or two files go to one place.
        ValidationError: The archive would not be sound. Nothing is written.
        ArchiveError: The archive cannot be written. Nothing is left behind.
    """
    from mar_core.plugins import get_plugins

    sources, findings = prepare_sources(request)
    target, archive_format = request.target, request.archive_format
    with _export_path(request.export_path), alone(target):
        manifest = write(
            sources, target, archive_format=archive_format, force=request.force, progress=progress
        )
    get_plugins().archive_written(target, manifest)
    return Written(path=target, manifest=manifest, findings=tuple(findings))


def prepare_sources(request: ArchiveRequest) -> tuple[Sources, list[Finding]]:
    """Everything that comes before an archive is written, which is all that can be refused.

    Args:
        request: What goes in and where it goes.

    Returns:
        What is to be written, and warnings.

    Raises:
        UsageError: A name is bad, a file is missing, or two files go to one place.
        ValidationError: The archive would not be sound.
        ArchiveError: Something else is where it is to go.
    """
    from mar_core.checks.validation import check
    from mar_core.plugins import get_plugins

    check_model_name(request.model_name)
    _check_apart(request)
    folder = request.archive_format is ArchiveFormat.NO_ARCHIVE
    check_place(request.target, force=request.force, folder=folder)
    plugins = get_plugins()
    sources = plan(request, plugins=plugins)
    return sources, check(sources, plugins=plugins, allow_pickle=request.allow_pickle)


def _check_apart(request: ArchiveRequest) -> None:
    """Refuse to replace what the archive is made of.

    Raises:
        UsageError: A file that goes in is the target, or lies in the folder that it replaces.
    """
    target = request.target
    # An old archive among the extra files is left out, which is said elsewhere.
    extras = request.extra_paths
    for path in (*request.files, *request.examples, *extras):
        replaced = target.is_dir() and path.exists() and is_inside(path, target)
        if replaced or (path not in extras and path.exists() and same_file(path, target)):
            raise UsageError(
                f"{path} goes into the archive, and would be replaced by it.",
                hint="Give another --model-name or --export-path.",
            )


def write_archive(
    manifest: Manifest,
    contents: Mapping[str, bytes | Path],
    target: str | Path,
    *,
    archive_format: str | ArchiveFormat = ArchiveFormat.DEFAULT,
    force: bool = False,
    digests: bool = True,
) -> Manifest:
    """Write an archive from members as they are, for tools that make their own manifest.

    The members are laid out and written as ``mar archive`` does; what they are is not validated,
    and plugins are not asked.

    Args:
        manifest: What the archive says of itself.
        contents: For each member but the manifest, its bytes or the file that holds them.
        target: The file, or for ``no-archive`` the folder, that it becomes.
        archive_format: How it is stored.
        force: Replace what is there.
        digests: Add the size and the SHA-256 of every member to the manifest.

    Returns:
        The manifest as written.

    Raises:
        ValidationError: Names of members are bad, or there are too many.
        ArchiveError: The archive cannot be written. Nothing is left behind.

    Example:
        >>> manifest = Manifest({"runtime": "python", "model": {"modelName": "echo"}})
        >>> write_archive(manifest, {"handler.py": Path("echo.py")}, "echo.mar")
    """
    assembly = Assembly()
    for name, content in contents.items():
        assembly.add(name, content, owner=name)
    sources = assembly.sources(manifest)
    stored = ArchiveFormat(archive_format)
    check_place(Path(target), force=force, folder=stored is ArchiveFormat.NO_ARCHIVE)
    with alone(Path(target)):
        return write(sources, Path(target), archive_format=stored, force=force, digests=digests)


@contextlib.contextmanager
def _export_path(folder: Path) -> Iterator[None]:
    """Make the folder where it is missing, and take it away again if nothing comes of it."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchiveError(
            f"The folder {folder} cannot be made: {error.strerror}.", hint="Check --export-path."
        ) from error
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # somebody else uses it by now
            for path in missing:
                path.rmdir()
        raise
