"""What an archive needs installed: by its requirements, and by what its code imports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mar_core.cache.uv import find_uv
from mar_core.checks.requirements import read_requirements
from mar_core.checks.unmet import unmet_lines
from mar_core.errors import UsageError
from mar_core.handlers.blame import missing_module
from mar_core.handlers.installed import is_installed
from mar_core.plugins.remedies import distribution_of
from mar_core.reports.doctor.imports import Import, imports_of
from mar_core.reports.doctor.report import Check, State
from mar_core.reports.inspection import summary_of_lock
from mar_core.text import plural
from mar_core.ts import compat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.format.manifest import Manifest

__all__ = ["check"]


def check(subject: Subject) -> Iterator[Check]:
    """What is missing, each thing once.

    Args:
        subject: The archive.
    """
    from packaging.utils import canonicalize_name

    locked = _lock(subject)
    if locked is not None:
        yield locked
    lacks = list(unmet_lines(line for _, line in read_requirements(subject)))
    for lack in lacks:
        brings = "Run it in the environment that it brings (`--env auto`), or install it"
        yield Check(
            name="requirements",
            state=State.WARNING if locked else State.ERROR,
            message=f"The archive needs {lack.wanted} ({lack.why}).",
            hint=f"{brings if locked else 'Install it'}: `pip install '{lack.wanted}'`.",
        )
    said = {canonicalize_name(lack.package) for lack in lacks}
    for found in imports_of(subject):
        top = found.module.partition(".")[0]
        package = canonicalize_name(distribution_of(found.module) or top)
        fault = None if package in said else _fault(found, subject.manifest)
        if fault is not None:
            said.add(package)
            # What is not here may be in the environment that the archive brings.
            softer = locked is not None and fault.state is State.ERROR
            yield replace(fault, state=State.WARNING) if softer else fault


def _lock(subject: Subject) -> Check | None:
    """What the archive's lock is good for here; None where there is none that can be used."""
    lock = summary_of_lock(subject)
    if lock is None or lock.fault is not None or not lock.current:  # the rules have their say
        return None
    count = len(lock.packages)
    message = f"It locks {count} {plural(count, 'package')}, which --env auto installs apart"
    try:
        find_uv()
    except UsageError as error:
        state = State.MISSING
        return Check(name="lock", state=state, message=f"{message}.", hint=str(error))
    return Check(name="lock", message=message)


def _fault(found: Import, manifest: Manifest) -> Check | None:
    """Why an import fails here, or None when it does not."""
    if found.module.partition(".")[0] == compat.ROOT and compat.wanted(found.module):
        absent = None if compat.offers(found.module) else str(compat.missing(found.module))
        return _check(found, f"{found.where}: {absent}", None) if absent else None
    if is_installed(found.module):
        return None
    top = found.module.partition(".")[0]
    if top != found.module and is_installed(top):
        # It may still be there: packages make modules while they are imported.
        message = f"{found.where} needs the module {found.module}, which {top} seems not to have."
        known = distribution_of(top)
        upgrade = f": `pip install -U {known}`" if known else ""
        hint = f"Perhaps another version has it{upgrade}."
        return Check(name="imports", state=State.WARNING, message=message, hint=hint)
    return _check(found, *missing_module(found.module, found.where, manifest))


def _check(found: Import, message: str, hint: str | None) -> Check:
    state = State.ERROR if found.certain else State.WARNING
    return Check(name="imports", state=state, message=message, hint=hint)
