"""Which environment an archive's workers run in: mar's own, the archive's, or one that is named."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.build.locking import TORCH, check_plain, resolve
from mar_core.cache.environments import environment, install, logger, python_of, site_packages_of
from mar_core.checks.lock import LOCK, Lock, LockError, parse_lock
from mar_core.checks.requirements import (
    ScriptError,
    lines_digest,
    read_requirements,
    script_of,
    unmet_lines,
    version_of,
)
from mar_core.checks.subject import Subject
from mar_core.errors import ArchiveError
from mar_core.plugins import HOST, LifeCycleHooks, get_plugins
from mar_core.runtime.interpreter import AUTO, OFF, Interpreter, environment_named
from mar_core.runtime.links import installed_in, linked, same_release
from mar_core.text import plural

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from mar_core.findings import Finding
    from mar_core.format import Archive
    from mar_core.runtime.load_options import LoadOptions

__all__ = ["described", "interpreter_of"]

_LOCK_FAULTS = ("MAR-Q008", "MAR-Q009")
_ASK = (
    "import json, sys; print(json.dumps([list(sys.version_info[:2]), "
    "sys.implementation.cache_tag, sys.path]))"
)
_ASKING_SECONDS = 60
_OURS = ("mar_core.", "builtin_handlers.")


def interpreter_of(
    archive: Archive, recipe: LoadOptions, findings: Sequence[Finding]
) -> Interpreter | None:
    """The Python that an archive's workers run in; None for this one.

    Args:
        archive: The archive, open.
        recipe: How it is to run.
        findings: What validation has found.

    Raises:
        ArchiveError: Its environment cannot be made, or does not fit this mar.
        UsageError: Its requirements cannot be installed as they are, or uv is not there.
    """
    subject, chosen = Subject(archive), environment_named(recipe.env)
    if chosen is None:
        _tell(subject)
    if chosen in {None, OFF}:
        return None
    name = archive.manifest.model_name or "model"
    if chosen != AUTO:
        return _named(Path(str(chosen)), name)
    venv = _brought(subject, recipe, findings, name=name)
    if venv is None:
        return None
    present = installed_in(site_packages_of(venv))
    return Interpreter(
        folder=venv,
        executable=python_of(venv),
        links=linked(present, name=name),
        inherits=tuple(filter(_has_packages, sys.path)) if recipe.inherit else (),
    )


def described(subject: Subject, env: str | None) -> str:
    """Which environment ``interpreter_of`` would choose, in words; nothing is made or asked.

    Args:
        subject: The archive, open.
        env: The environment that a run asks for, as ``Recipe.env``.
    """
    chosen = environment_named(env)
    if chosen in {None, OFF}:
        return "mar's own"
    if chosen != AUTO:
        return str(chosen)
    if LOCK in subject.archive.members:
        return f"one of its own, from {LOCK}"
    if any(read_requirements(subject)):
        return "one of its own, from requirements without a lock"
    return "mar's own: it has no requirements"


def _has_packages(path: str) -> bool:
    return Path(path).name in {"site-packages", "dist-packages"}


def _brought(
    subject: Subject, recipe: LoadOptions, findings: Sequence[Finding], *, name: str
) -> Path | None:
    """The environment that an archive brings; None where it asks for nothing."""
    archive = subject.archive
    is_locked = LOCK in archive.members
    lines = list(read_requirements(subject))
    if is_locked:
        _check_lock(findings, archive)
    elif lines or any(found.code.startswith("MAR-Q") for found in findings):
        check_plain(subject, "installed")
    else:
        return None
    _check_python(subject, name)
    if is_locked:
        return _from_lock(archive.read(LOCK), recipe, name=name, source=archive.origin)
    return _from_lines(lines, recipe, name=name, source=archive.origin)


def _tell(subject: Subject) -> None:
    """Say of a locked archive that this environment is none for it."""
    if LOCK not in subject.archive.members:
        return
    lacks = list(unmet_lines(line for _, line in read_requirements(subject)))
    if lacks:
        logger.warning(
            "%s needs %s (%s)%s: --env auto (or MAR_ENV=auto) runs it in the environment that it "
            "brings.",
            subject.archive,
            lacks[0].wanted,
            lacks[0].why,
            f" and {len(lacks) - 1} more" if len(lacks) > 1 else "",
        )


def _check_lock(findings: Sequence[Finding], archive: Archive) -> None:
    """Refuse a lock that validation has found something wrong with.

    Raises:
        ArchiveError: It has.
    """
    for found in findings:
        if found.code in _LOCK_FAULTS:
            raise ArchiveError(
                f"The environment of {archive} cannot be made: {found.message}",
                hint=f"Lock it again: `mar update {archive} --lock`.",
            )


def _check_python(subject: Subject, name: str) -> None:
    """Refuse a Python that the handler's own metadata excludes.

    Raises:
        ArchiveError: It does.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        script = None if subject.manifest.requirements_file else script_of(subject)
        wanted = SpecifierSet((script and script.requires_python) or "")
    except (ScriptError, InvalidSpecifier) as error:
        raise ArchiveError(f"The metadata of {name} cannot be read: {error}.") from error
    here = ".".join(map(str, sys.version_info[:3]))
    if not wanted.contains(here, prereleases=True):
        raise ArchiveError(f"{name} needs Python {wanted}; this is {here}.")


def _from_lock(text: bytes, recipe: LoadOptions, *, name: str, source: str) -> Path:
    key = ["lock", hashlib.sha256(text).hexdigest(), *_here(recipe)]

    def fill(folder: Path) -> None:
        _install(folder, text, recipe, name=name)

    return environment(key, name=name, source=source, fill=fill)


def _from_lines(
    lines: Sequence[tuple[int, str]], recipe: LoadOptions, *, name: str, source: str
) -> Path:
    """The environment for requirements without a lock: what they are resolved to the first time."""
    key = ["requirements", lines_digest(lines), *_here(recipe)]

    def fill(folder: Path) -> None:
        logger.warning(
            "%s has requirements and no lock: what they mean today is installed, and may be "
            "something else elsewhere. --lock of `mar archive` and `mar update` settles it.",
            name,
        )
        text = resolve(lines, name=name, allow_build=recipe.allow_build, offline=recipe.offline)
        _install(folder, text, recipe, name=name)

    return environment(key, name=name, source=source, fill=fill)


def _here(recipe: LoadOptions) -> list[str]:
    """What an environment depends on besides its lock: mar's torch, and whether to build."""
    versions = [str(version_of(package)) for package in TORCH]
    return [*versions, "build" if recipe.allow_build else "wheels"]


def _install(folder: Path, text: bytes, recipe: LoadOptions, *, name: str) -> None:
    try:
        lock = parse_lock(text)
        pins = lock.pins(allow_build=recipe.allow_build)
    except LockError as error:
        raise ArchiveError(
            f"The environment of {name} cannot be made: the lock does not serve. {error}",
            hint="Lock it again: `mar update ARCHIVE --lock`.",
        ) from error
    ours = _from_here(lock, {pin.name: pin.version for pin in pins})
    wanted = [pin for pin in pins if pin.name not in ours and pin.name != HOST]
    unhashed = [pin.name for pin in wanted if not pin.hashed]
    if unhashed:
        raise ArchiveError(
            f"The environment of {name} cannot be made: there is no wheel of {unhashed[0]} for "
            "this machine, only its source.",
            hint="Building runs code of the package: allow it with --allow-build if you trust it.",
        )
    theirs = f"; {' and '.join(TORCH)} are mar's own" if ours else ""
    logger.info(
        "Making the environment of %s: %d %s%s.",
        name, len(wanted), plural(len(wanted), "package"), theirs,
    )  # fmt: skip
    _tell_plugins({pin.name for pin in wanted})
    (folder / LOCK).write_bytes(text)
    install(
        folder,
        (f"{pin.name}=={pin.version} --hash={pin.hashed}" for pin in wanted),
        name=name,
        allow_build=recipe.allow_build,
        offline=recipe.offline,
    )


def _tell_plugins(present: Container[str]) -> None:
    """Say which plugins will not act in workers of the environment that is being made."""
    manager = get_plugins().manager
    hook = manager.hook
    of_workers = {
        *LifeCycleHooks(manager).callers,
        hook.mar_stage_finished,
        hook.mar_metric_recorded,
        hook.mar_register_weights_formats,
    }
    absent = [
        name
        for name, plugin in manager.list_name_plugin()
        if name not in present
        and not str(getattr(plugin, "__name__", "")).startswith(_OURS)
        and not of_workers.isdisjoint(manager.get_hookcallers(plugin) or ())
    ]
    if absent:
        logger.info(
            "Not in it: %s. A plugin that is to act in its workers belongs to the requirements.",
            ", ".join(absent),
        )


def _from_here(lock: Lock, versions: dict[str, str]) -> frozenset[str]:
    """What comes from mar's environment: the one rule for torch and torchvision.

    Where mar's environment has the releases of them that the lock names, they come from there, with
    all that the lock has for their sake; otherwise nothing does.
    """
    asked = [package for package in TORCH if package in versions]
    same = all(same_release(versions[package], version_of(package)) for package in asked)
    return lock.for_torch if asked and same else frozenset()


def _named(folder: Path, name: str) -> Interpreter:
    """An environment that the user has made.

    Raises:
        ArchiveError: It is of another Python, or does not fit this mar.
    """
    executable = python_of(folder)
    version, tag, paths = _asked(executable)
    if tag != sys.implementation.cache_tag:
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ArchiveError(
            f"{folder} has Python {'.'.join(map(str, version))}, and mar runs on {here}: a worker "
            "and its parent must have one Python.",
            hint=f"Make it anew: `uv venv --python {here} {folder}`.",
        )
    present = installed_in(Path(path) for path in paths if path)
    return Interpreter(folder=folder, executable=executable, links=linked(present, name=name))


def _asked(executable: Path) -> tuple[list[int], str, list[str]]:
    """What a Python says of itself: its version, its kind, and where its packages are."""
    command = [str(executable), "-I", "-c", _ASK]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_ASKING_SECONDS
        )
        version, tag, paths = json.loads(done.stdout)
        return list(version), str(tag), [str(path) for path in paths]
    except (OSError, ValueError, TypeError, subprocess.SubprocessError) as error:
        raise ArchiveError(f"{executable} does not run: {error}.") from error
