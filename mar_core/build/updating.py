"""Changing parts of an archive, as ``mar update`` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.build.assembly import Assembly
from mar_core.build.handler import HandlerSpec, installed_handler, resolve_handler
from mar_core.build.packing import Written
from mar_core.build.plan import FLAGS, check_version, manifest_of, with_signature
from mar_core.build.request import ArchiveFormat, Runtime, in_a_tuple, path_of
from mar_core.build.rewrite import rewrite, rewrite_end
from mar_core.checks.lock import LOCK
from mar_core.errors import UsageError
from mar_core.format import open_archive
from mar_core.format.digests import quiet
from mar_core.format.locks import alone
from mar_core.format.manifest import FILE_KEYS, MANIFEST_NAME, Manifest
from mar_core.format.sources import Kept
from mar_core.format.writer import write
from mar_core.format.zip_archive import ZipArchive
from mar_core.handlers.lookup import look_up
from mar_core.text import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mar_core.format.sources import Sources
    from mar_core.format.view import Archive

__all__ = ["Changes", "apply_changes", "plan_update", "update"]

_OWN_KEYS = {"handler", "members", "signature"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What ``mar update`` is to change; None and empty leave things as they are.

    Attributes:
        handler: A registered name, a file, ``file:entry`` or ``package.module:Class``.
        version: The model's version.
        model_file: The Python file that holds one ``torch.nn.Module`` class.
        serialized_file: The weights.
        extra_files: Files to add or replace, as ``--extra-files`` takes them.
        requirements_file: A pip requirements file.
        lock: Resolve the requirements with uv, and keep versions and hashes as ``pylock.toml``.
        allow_build: Lock packages that have no wheels, too.
        config_file: A model-config.yaml.
        runtime: The handler's runtime.
        remove: Members to take out.
    """

    handler: str | None = None
    version: str | None = None
    model_file: Path | None = None
    serialized_file: Path | None = None
    extra_files: tuple[str | Path, ...] = ()
    requirements_file: Path | None = None
    lock: bool = False
    allow_build: bool = False
    config_file: Path | None = None
    runtime: Runtime | None = None
    remove: tuple[str, ...] = ()

    def files(self, handler: HandlerSpec) -> dict[str, Path]:
        """The files that flags name, by the manifest's keys."""
        paths = {
            "handler": handler.source if self.handler else None,
            "modelFile": self.model_file,
            "serializedFile": self.serialized_file,
            "requirementsFile": self.requirements_file,
            "configFile": self.config_file,
        }
        return {key: path for key, path in paths.items() if path is not None}


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


def plan_update(archive: Archive, changes: Changes) -> Sources:
    """Put together what an archive will hold after some changes; nothing is written.

    Args:
        archive: The archive that is going to be replaced, open; the sources read from it.
        changes: What to change.

    Returns:
        The sources, with a manifest that is complete but for the digests: those of a fresh archive
        from the same files.

    Raises:
        UsageError: A file or a member is not there, or two files go to one place.
        ManifestError: The archive's manifest is not what it must be.
    """
    check_version(changes.version)
    old = archive.manifest
    runtime = changes.runtime or Runtime(old.runtime)
    handler = _handler(archive, changes, runtime)
    files = changes.files(handler)
    assembly = Assembly()
    for key, path in files.items():
        assembly.add_named(FLAGS[key], path)
    assembly.add_extras(changes.extra_files, leave_out=archive.path)
    model = _model(old.model, changes, files)
    new = _keep_other_keys(old, manifest_of(model, handler, runtime=runtime.value))
    dropped = _removed(archive, changes) | (_named(old, archive) - _named(new, archive))
    for name, member in archive.members.items():
        again = changes.lock and name == LOCK
        if (
            name not in dropped
            and not again
            and name not in assembly.contents
            and name != MANIFEST_NAME
        ):
            assembly.add(name, Kept(archive=archive, member=member), owner=str(archive))
    if changes.lock:
        from mar_core.build.locking import add_lock

        add_lock(assembly, new, allow_build=changes.allow_build)
    return with_signature(assembly.sources(new), otherwise=_kept_signature(archive, changes))


def _kept_signature(archive: Archive, changes: Changes) -> Any:
    """The signature that stays where this machine has not the handler that declares it."""
    handler = archive.manifest.handler
    unknown = changes.handler is None and handler and look_up(handler, archive.members) is None
    return archive.manifest.mar.get("signature") if unknown else None


def _handler(archive: Archive, changes: Changes, runtime: Runtime) -> HandlerSpec:
    if changes.handler is not None:
        return resolve_handler(changes.handler, runtime=runtime)
    value = str(archive.manifest.handler)
    if _handler_files(value) & set(archive.members):
        return HandlerSpec(value=value)
    owner = archive.manifest.mar.get("handler")
    owner = owner if isinstance(owner, dict) else {}
    recorded = HandlerSpec(
        value=value, distribution=owner.get("distribution"), version=owner.get("version")
    )
    return installed_handler(value) or recorded  # a fresh archive records the version that is here


def _model(old: dict[str, Any], changes: Changes, files: dict[str, Path]) -> dict[str, str | None]:
    """The values of ``model`` in the new manifest, but for the handler."""
    model = {key: value for key, value in old.items() if key != "handler"}
    for key in FILE_KEYS:
        if model.get(key) in changes.remove:
            del model[key]
    model |= {key: path.name for key, path in files.items()}
    if changes.version is not None:
        model["modelVersion"] = changes.version
    return model


def _keep_other_keys(old: Manifest, new: Manifest) -> Manifest:
    """Keys that mar does not write stay as they are."""
    data = {**new.data, **{key: old.data[key] for key in old.data if key not in new.data}}
    others = {key: old.mar[key] for key in old.mar if key not in _OWN_KEYS}
    data["mar"] = {**new.mar, **others}
    return Manifest(data)


def _named(manifest: Manifest, archive: Archive) -> set[str]:
    """The members that a manifest's keys stand for."""
    names = _handler_files(str(manifest.handler))
    names |= {str(manifest.model.get(key)) for key in FILE_KEYS}
    return names & set(archive.members)


def _handler_files(value: str) -> set[str]:
    file = value.partition(":")[0]
    return {file, f"{file}.py", f"{file}.so", f"{file}.dylib"}


def _removed(archive: Archive, changes: Changes) -> set[str]:
    for name in changes.remove:
        if name not in archive.members or name == MANIFEST_NAME:
            hint = suggestion(name, archive.members) or "`mar inspect` lists the members."
            raise UsageError(f"{archive} has no member {name!r} to remove.", hint=hint)
    return set(changes.remove)
