"""What to put into an archive: the flags of ``mar archive`` as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.format.view import ArchiveFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ArchiveFormat", "ArchiveRequest", "Imported", "Runtime", "in_a_tuple", "path_of"]


class Runtime(StrEnum):
    """The language that a handler is written in, by torch-model-archiver's names."""

    PYTHON = "python"
    PYTHON3 = "python3"
    LSP = "LSP"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRequest:
    """Everything that ``mar archive`` was asked for.

    Attributes:
        model_name: The archive's name, and the output's base name.
        handler: A registered name, a file, ``file:entry`` or ``package.module:Class``.
        version: The model's version, free text; an empty one is left out of the manifest.
        model_file: The Python file that holds one ``torch.nn.Module`` class.
        serialized_file: The weights.
        extra_files: Files, folders and patterns as ``--extra-files`` takes them; ``source=target/``
            puts a file or folder under ``target/``.
        runtime: The handler's runtime.
        export_path: The folder to write to.
        archive_format: How to store it.
        force: Replace an archive that is there.
        requirements_file: A pip requirements file.
        lock: Resolve the requirements with uv, and keep versions and hashes as ``pylock.toml``.
        allow_build: Lock packages that have no wheels, too.
        config_file: A model-config.yaml.
        allow_pickle: Take weights that can run code when loaded.
        examples: Inputs to run once and record in the archive.
        env: The environment that they run in: the archive's own (``auto``), mar's (``off`` or
            None), or a folder.
    """

    model_name: str
    handler: str
    version: str | None = None
    model_file: Path | None = None
    serialized_file: Path | None = None
    extra_files: tuple[str | Path, ...] = ()
    runtime: Runtime = Runtime.PYTHON
    export_path: Path = field(default_factory=Path.cwd)
    archive_format: ArchiveFormat = ArchiveFormat.DEFAULT
    force: bool = False
    requirements_file: Path | None = None
    lock: bool = False
    allow_build: bool = False
    config_file: Path | None = None
    allow_pickle: bool = False
    examples: tuple[Path, ...] = ()
    env: str | None = None

    @property
    def target(self) -> Path:
        """The file or folder that the archive becomes."""
        suffix = {ArchiveFormat.TGZ: ".tar.gz", ArchiveFormat.NO_ARCHIVE: ""}
        return self.export_path / f"{self.model_name}{suffix.get(self.archive_format, '.mar')}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are named one by one, be they there or not; a handler may be none."""
        handler = self.handler.partition(":")[0]
        named = (self.model_file, self.serialized_file, self.config_file, self.requirements_file)
        return tuple(Path(name) for name in (handler, f"{handler}.py", *named) if name is not None)

    @property
    def extra_paths(self) -> tuple[Path, ...]:
        """The files, folders and patterns that ``extra_files`` names.

        Raises:
            UsageError: A quote in it is not closed.
        """
        if not self.extra_files:
            return ()
        from mar_core.build.extra_files import split_items

        return tuple(Path(item.source) for item in split_items(self.extra_files))


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an importer makes of a source.

    Attributes:
        what: What the source is, in a few words: ``a Hugging Face model for text-classification``.
        request: The request that the importer was given, with what it adds: the handler, the
            weights, more files, a model-config.yaml. What the user said by flags wins over it.
        reasons: One line for each choice, such as ``model.safetensors are the weights``.
    """

    what: str
    request: ArchiveRequest
    reasons: tuple[str, ...] = ()


def path_of(value: str | Path | None) -> Path | None:
    """A path that may have been given as a string, or not at all."""
    return None if value is None else Path(value)


def in_a_tuple(values: str | Path | Sequence[str | Path]) -> tuple[str | Path, ...]:
    """Paths of which one may have been given by itself."""
    return (values,) if isinstance(values, (str, Path)) else tuple(values)
