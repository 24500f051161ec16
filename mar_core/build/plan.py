"""From a request to the sources of an archive: every file found, every place decided."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mar_core.build.assembly import Assembly
from mar_core.build.handler import HandlerSpec, resolve_handler
from mar_core.build.request import Runtime
from mar_core.errors import ArchiveError, MarError, UsageError
from mar_core.format import ExtraFile
from mar_core.format.manifest import MODEL_NAME_PATTERN, Manifest, created_on
from mar_core.plugins.entry_points import host_version, in_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mar_core.build.request import ArchiveRequest
    from mar_core.format.sources import Sources
    from mar_core.plugins import Plugins

__all__ = [
    "check_model_name",
    "check_version",
    "manifest_of",
    "named_files",
    "plan",
    "with_signature",
]

_EXAMPLES = "MAR-INF/examples/"
_LARGEST_SOURCE = 1 << 20
_VERSION = re.compile(r"(?=.{1,128}\Z)[^\W_](?:[\w.+-]| (?! |\Z))*")


def plan(request: ArchiveRequest, *, plugins: Plugins | None = None) -> Sources:
    """Put together what an archive will hold; nothing is written.

    Args:
        request: What the user asked for.
        plugins: Asked for more files through ``mar_collect_files``; None asks nobody.

    Returns:
        The sources, with a manifest that is complete but for the digests.

    Raises:
        UsageError: A name is bad, a file is missing, or two files go to one place.
        ValidationError: Names of members are bad, or there are too many.
        ArchiveError: A plugin failed to give its files.
    """
    check_model_name(request.model_name)
    check_version(request.version)
    handler = resolve_handler(request.handler, runtime=request.runtime)
    files = named_files(request, handler)
    assembly = Assembly()
    for key, path in files.items():
        assembly.add_named(FLAGS[key], path)
    if request.extra_files:
        assembly.add_extras(request.extra_files, leave_out=request.target)
    if plugins is not None:
        for plugin, result in plugins.collect_files(request):
            for file in _collected(plugin, result):
                assembly.add(file.name, file.content, owner=f"the plugin {plugin}")
    model = {key: path.name for key, path in files.items()}
    model |= {"modelName": request.model_name, "modelVersion": request.version or ""}
    manifest = manifest_of(model, handler, runtime=request.runtime.value)
    if request.lock:
        from mar_core.build.locking import add_lock

        add_lock(assembly, manifest, allow_build=request.allow_build)
    return with_signature(assembly.sources(manifest))


FLAGS = {
    "serializedFile": "--serialized-file",
    "handler": "--handler",
    "modelFile": "--model-file",
    "requirementsFile": "--requirements-file",
    "configFile": "--config-file",
}


def named_files(request: ArchiveRequest, handler: HandlerSpec) -> dict[str, Path]:
    """The files that flags name, by the manifest's keys."""
    files = {
        "serializedFile": request.serialized_file,
        "handler": handler.source,
        "modelFile": request.model_file,
        "requirementsFile": request.requirements_file,
        "configFile": request.config_file,
    }
    return {key: path for key, path in files.items() if path is not None}


def check_model_name(name: str) -> None:
    """Refuse what torch-model-archiver refuses.

    Raises:
        UsageError: The name is not allowed.
    """
    if not MODEL_NAME_PATTERN.fullmatch(name):
        raise UsageError(
            f"The model name {name!r} is not allowed.",
            hint="Use letters, digits, '_', '-' and '.', and begin with a letter or a digit.",
        )


def check_version(version: str | None) -> None:
    """Refuse a version that cannot be part of a URL or a file's name.

    Raises:
        UsageError: The version is empty, or holds other characters than allowed.
    """
    if version == "":
        raise UsageError("--version is empty.", hint="Give one, such as 1.0.")
    if version is not None and not _VERSION.fullmatch(version):
        raise UsageError(
            f"The version {version[:80]!r} is not allowed.",
            hint="Use at most 128 letters, digits, '.', '_', '-', '+' and single spaces, and begin "
            "with a letter or a digit.",
        )


def _collected(plugin: str, result: Any) -> list[ExtraFile]:
    """The files that a plugin gave.

    Raises:
        MarError: It raised, or returned something else.
    """
    hint = f"Leave it out with MAR_DISABLED_PLUGINS={plugin}."
    if isinstance(result, MarError):  # a sentence already
        raise result
    if isinstance(result, Exception):
        message = f"The plugin {plugin} failed to give its files: {in_words(result)}."
        raise ArchiveError(message, hint=hint) from result
    several = isinstance(result, Iterable) and not isinstance(result, (str, bytes))
    files = [] if result is None else list(result) if several else [result]
    for file in files:
        if not isinstance(file, ExtraFile):
            kind = type(file).__name__
            message = f"The plugin {plugin} gave {kind} from mar_collect_files, not an ExtraFile."
            raise ArchiveError(message, hint=hint)
    return files


_ORDER = (
    "modelName",
    "serializedFile",
    "handler",
    "modelFile",
    "modelVersion",
    "requirementsFile",
    "configFile",
)


def manifest_of(model: Mapping[str, str | None], handler: HandlerSpec, *, runtime: str) -> Manifest:
    """Describe an archive whose members have no digests yet.

    Args:
        model: The values of the keys of ``model``, but for the handler; empty ones are left out.
        handler: The handler; where a distribution ships it, that is recorded.
        runtime: The handler's runtime.
    """
    values = {**model, "handler": handler.value}
    names = [*_ORDER, *(key for key in values if key not in _ORDER)]
    data: dict[str, Any] = {
        "createdOn": created_on(),
        "runtime": runtime,
        "model": {name: values[name] for name in names if values.get(name)},
        "archiverVersion": host_version(),
    }
    if handler.distribution:
        owner = {"distribution": handler.distribution, "version": handler.version}
        data["mar"] = {"handler": owner}
    return Manifest(data)


def with_signature(sources: Sources, *, otherwise: Any = None) -> Sources:
    """The same sources, whose manifest keeps what the archive takes and gives.

    Args:
        sources: What an archive will hold.
        otherwise: What is kept where nothing says it, as the manifest of an archive kept it.
    """
    manifest = sources.manifest
    kept = otherwise
    if _may_say(sources, manifest):
        from mar_core.signature.declared import find_signature

        found = find_signature(sources, manifest)
        kept = found.to_dict() if found is not None else otherwise
    return sources if kept is None else sources.keeping("signature", kept)


def _may_say(sources: Sources, manifest: Manifest) -> bool:
    """Whether to look for a signature: most handlers that are a plain function have none."""
    file = str(manifest.handler).partition(":")[0]
    name = file if file.endswith(".py") else f"{file}.py"
    if manifest.runtime == Runtime.LSP or any(m.startswith(_EXAMPLES) for m in sources.members):
        return manifest.runtime != Runtime.LSP
    if name not in sources.members or sources.members[name].size > _LARGEST_SOURCE:
        return name not in sources.members
    source = sources.read(name)
    return b"class " in source or b"signature" in source
