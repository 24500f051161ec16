"""From a request to the sources of an archive: every file found, every place decided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.archives import layout
from mar_core.archives.extra_files import place, split_items
from mar_core.archives.handler_spec import HandlerSpec, resolve_handler
from mar_core.archives.sources import Sources
from mar_core.errors import ArchiveError, UsageError
from mar_core.manifest import MANIFEST_NAME, MODEL_NAME_PATTERN, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.archives.request import ArchiveRequest
    from mar_core.archives.view import ExtraFile
    from mar_core.findings import Finding
    from mar_core.plugins import Plugins

__all__ = ["Contents", "plan"]


def plan(request: ArchiveRequest, *, plugins: Plugins | None = None) -> Sources:
    """Put together what an archive will hold; nothing is written.

    Args:
        request: What the user asked for.
        plugins: Asked for more files through ``mar_collect_files``; None asks nobody.

    Returns:
        The sources, with a manifest that is complete but for the digests.

    Raises:
        UsageError: A name is bad, a file is missing, or two files go to one place.
        ArchiveError: A plugin failed to give its files.
    """
    _check_model_name(request.model_name)
    handler = resolve_handler(request.handler, runtime=request.runtime)
    contents = Contents()
    for flag, path in _named_files(request, handler):
        contents.add_named(flag, path)
    findings = _add_extras(contents, request)
    if plugins is not None:
        for name, files in _collected(plugins, request):
            contents.add_files(files, owner=f"the plugin {name}")
    manifest = Manifest(_manifest(request, handler))
    return Sources(manifest, contents.in_order(manifest.serialized_file), findings=findings)


class Contents:
    """What goes where; two files for one place are refused."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes | Path] = {}
        self._owners: dict[str, str] = {}

    def add_named(self, flag: str, path: Path) -> None:
        """Put the file of one flag at the root.

        Raises:
            UsageError: It is no file, or its place is taken.
        """
        if path.is_dir():
            raise UsageError(f"{flag} {path} is a folder; it must be a file.")
        if not path.is_file():
            raise UsageError(f"There is no file {str(path)!r}.", hint=f"Check {flag}.")
        self.add(path.name, path, owner=str(path))

    def add_files(self, files: list[ExtraFile], *, owner: str) -> None:
        """Put files that were made here, or named by a plugin, at their places."""
        for file in files:
            self.add(file.name, file.content, owner=owner)

    def add(self, name: str, content: bytes | Path, *, owner: str) -> None:
        """Put one file at one place.

        Raises:
            UsageError: Another file is there.
        """
        taken = self._owners.get(name)
        if name == MANIFEST_NAME:
            taken = "the manifest"
        if taken is None:
            self._contents[name] = content
            self._owners[name] = owner
        elif not _same(self._contents.get(name), content):
            raise UsageError(
                f"Two files go to the one place {name!r} in the archive: {taken} and {owner}.",
                hint="Rename one, or put one into a folder: --extra-files file=folder/.",
            )

    def in_order(self, serialized: str | None) -> Mapping[str, bytes | Path]:
        """Everything, in the order of the archive."""
        sizes = {name: _size(content) for name, content in self._contents.items()}
        return {name: self._contents[name] for name in layout.ordered(sizes, serialized)}


def _check_model_name(name: str) -> None:
    if not MODEL_NAME_PATTERN.fullmatch(name):
        raise UsageError(
            f"The model name {name!r} is not allowed.",
            hint="Use letters, digits, '_', '-' and '.', and begin with a letter or a digit.",
        )


def _named_files(request: ArchiveRequest, handler: HandlerSpec) -> list[tuple[str, Path]]:
    files = {
        "--serialized-file": request.serialized_file,
        "--handler": handler.source,
        "--model-file": request.model_file,
        "--requirements-file": request.requirements_file,
        "--config-file": request.config_file,
    }
    return [(flag, path) for flag, path in files.items() if path is not None]


def _add_extras(contents: Contents, request: ArchiveRequest) -> list[Finding]:
    leave_out = frozenset({request.target.resolve()})
    placed, findings = place(split_items(request.extra_files), leave_out=leave_out)
    for file in placed:
        contents.add(file.name, file.source, owner=str(file.source))
    return findings


def _collected(plugins: Plugins, request: ArchiveRequest) -> list[tuple[str, list[ExtraFile]]]:
    collected = []
    for name, result in plugins.call_each("mar_collect_files", request=request):
        try:
            if isinstance(result, Exception):
                raise result
            collected.append((name, list(result or ())))
        except Exception as error:
            raise ArchiveError(
                f"The plugin {name} failed to give its files: {type(error).__name__}: {error}.",
                hint=f"Leave it out with MAR_DISABLED_PLUGINS={name}.",
            ) from error
    return collected


def _manifest(request: ArchiveRequest, handler: HandlerSpec) -> dict[str, Any]:
    from mar_core import __version__

    model = {
        "modelName": request.model_name,
        "serializedFile": _name(request.serialized_file),
        "handler": handler.value,
        "modelFile": _name(request.model_file),
        "modelVersion": request.version,
        "requirementsFile": _name(request.requirements_file),
        "configFile": _name(request.config_file),
    }
    data: dict[str, Any] = {
        "createdOn": layout.created_on(),
        "runtime": request.runtime.value,
        "model": {key: value for key, value in model.items() if value},
        "archiverVersion": __version__,
    }
    if handler.distribution:
        owner = {"distribution": handler.distribution, "version": handler.version}
        data["mar"] = {"handler": owner}
    return data


def _name(path: Path | None) -> str | None:
    return None if path is None else path.name


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _same(first: bytes | Path | None, second: bytes | Path) -> bool:
    if isinstance(first, Path) and isinstance(second, Path):
        return first.samefile(second)
    return first == second
