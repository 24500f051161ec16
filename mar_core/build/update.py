"""From an archive and some changes to the sources of the archive that replaces it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core.build.assembly import Assembly
from mar_core.build.handler import HandlerSpec, installed_handler, resolve_handler
from mar_core.build.locking import add_lock
from mar_core.build.plan import FLAGS, check_version, manifest_of, with_signature
from mar_core.build.request import Runtime
from mar_core.checks.lock import LOCK
from mar_core.errors import UsageError
from mar_core.format.manifest import FILE_KEYS, MANIFEST_NAME, Manifest
from mar_core.format.sources import Kept
from mar_core.handlers.lookup import look_up
from mar_core.text import suggestion

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core.format.sources import Sources
    from mar_core.format.view import Archive

__all__ = ["Changes", "plan_update"]

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
