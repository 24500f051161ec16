"""Whether an archive can run on this machine, and everything that keeps it from that."""

from __future__ import annotations

import ast
import contextlib
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mar_core.cache.environments import find_uv
from mar_core.checks.checking import check_archive
from mar_core.checks.requirements import read_requirements, unmet_lines
from mar_core.checks.subject import Subject
from mar_core.errors import ArchiveError, UsageError
from mar_core.findings import Severity
from mar_core.format.reader import open_archive
from mar_core.handlers.blame import absent_module, missing_module
from mar_core.handlers.lookup import is_installed, package_of, why_absent
from mar_core.plugins import HOST, Plugins, disabled_names, load_plugins
from mar_core.plugins.listing import EntryStatus, check_entries
from mar_core.plugins.remedies import distribution_of
from mar_core.reports.doctor.machine import torch_answer
from mar_core.reports.doctor.report import Check, State, from_error
from mar_core.reports.inspection import config_values, summary_of_lock
from mar_core.text import plural
from mar_core.ts import compat
from mar_core.weights.loading import no_loader, other_loaders

if TYPE_CHECKING:
    import os
    from collections.abc import Container, Iterator, Sequence

    from mar_core.findings import Finding
    from mar_core.handlers.lookup import FoundHandler

__all__ = ["Import", "check_here", "imports_of", "packages_needed"]

_STATES = {Severity.ERROR: State.ERROR, Severity.WARNING: State.WARNING}
# What validation says of a handler that is not here; a doctor knows more about it.
_HANDLER_CODES = {"MAR-R003", "MAR-R004", "MAR-R005", "MAR-R006"}
_MISSING = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
_NEVER_RUN = ("__name__ == '__main__'", "TYPE_CHECKING", "typing.TYPE_CHECKING")


def check_here(path: str | os.PathLike[str], statuses: Sequence[EntryStatus]) -> Iterator[Check]:
    """Hold an archive against this machine.

    Args:
        path: A ``.mar``, a ``.tar.gz`` or a folder.
        statuses: The installed handlers and plugins; those that are broken are not loaded.
    """
    plugins = _working_plugins(statuses)
    checked = check_archive(path, plugins=plugins)
    if checked.failure is not None:
        yield Check(name="archive", state=State.ERROR, message=checked.failure)
        return
    for finding in checked.findings:
        if finding.code not in _HANDLER_CODES and finding.severity in _STATES:
            yield _from_finding(finding)
    # What cannot be opened or read is among the findings.
    with contextlib.suppress(ArchiveError), open_archive(path) as archive:
        subject = Subject(archive, plugins=plugins)
        if subject.manifest_fault is None:
            yield from _handler(subject, statuses)
            yield from _weights(subject, plugins)
            yield from _device(config_values(subject))
            yield from packages_needed(subject)


def _working_plugins(statuses: Sequence[EntryStatus]) -> Plugins:
    broken = {s.name for s in statuses if s.kind == "plugin" and s.state == "broken"}
    return load_plugins(disabled=disabled_names() | broken)


def _from_finding(finding: Finding) -> Check:
    where = f"{finding.member}: " if finding.member else ""
    return Check(
        name=finding.code,
        state=_STATES[finding.severity],
        message=f"{where}{finding.message}",
        hint=finding.hint,
    )


def _handler(subject: Subject, statuses: Sequence[EntryStatus]) -> Iterator[Check]:
    manifest, found = subject.manifest, subject.handler
    if manifest.handler is None:
        return
    if manifest.runtime == "LSP":
        yield Check(
            name="handler",
            state=State.ERROR,
            message="It is written in C++, for TorchServe's own back end.",
            hint="Run it with TorchServe, or write it in Python.",
        )
    elif found is None:
        absence = why_absent(manifest, subject.archive.members)
        yield from_error("handler", absence.error(manifest.handler))
    elif found.member is not None:
        yield Check(name="handler", message=f"{found.member} of the archive")
    else:
        yield from _shipped_handler(subject, found, statuses)


def _shipped_handler(
    subject: Subject, found: FoundHandler, statuses: Sequence[EntryStatus]
) -> Iterator[Check]:
    """A registered handler, or a class of an installed package."""
    by = f" of {found.distribution} {found.version}" if found.distribution else ""
    registered = [s for s in statuses if s.kind == "handler" and s.target == found.target]
    tried = check_entries([s for s in registered if s.distribution == found.distribution])
    for status in tried:
        if not status.is_good:
            yield Check(name="handler", state=State.ERROR, message=status.reason)
            return
    yield Check(name="handler", message=f"{found.target or found.name}{by}")
    recorded = subject.manifest.mar.get("handler")
    made_with = recorded.get("version") if isinstance(recorded, dict) else None
    if made_with and found.version and made_with != found.version:
        shipper = found.distribution
        yield Check(
            name="handler",
            state=State.WARNING,
            message=f"The archive was made with {shipper} {made_with}; here is {found.version}.",
            hint=f"For the same results, install mar {made_with}."
            if shipper == HOST
            else f"For the same results: `pip install {shipper}=={made_with}`.",
        )


def _weights(subject: Subject, plugins: Plugins) -> Iterator[Check]:
    name, report = subject.manifest.serialized_file, subject.weights
    if name is None or report is None:
        return
    if report.format.load is not None:
        yield Check(name="weights", message=f"{name} is {report.format.name}")
        return
    others = other_loaders(plugins)
    if others:
        yield Check(name="weights", message=f"{name} is left to {', '.join(others)}")
    else:
        certain = subject.is_loaded_by_base_handler
        state = State.ERROR if certain else State.WARNING
        yield from_error("weights", no_loader(report.format, name), state=state)


def _device(config: Any) -> Iterator[Check]:
    """What the config asks for and this machine does not have; a run takes what there is."""
    if not isinstance(config, dict):
        return
    count, ids = torch_answer()["accelerators"], config.get("deviceIds")
    seen = f"PyTorch sees {count or 'no'} {plural(count, 'accelerator')} here"
    if config.get("deviceType") == "gpu" and not count:
        yield _slower(f"The config asks for a GPU; {seen}, and the archive runs on the CPU.")
    elif count and isinstance(ids, list) and any(isinstance(i, int) and i >= count for i in ids):
        listed = ", ".join(map(str, ids))
        yield _slower(f"The config asks for the devices {listed}; {seen}, and the first is taken.")


def _slower(message: str) -> Check:
    return Check(name="device", state=State.WARNING, message=message)


def packages_needed(subject: Subject) -> Iterator[Check]:
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
        package = canonicalize_name(_package(found.module))
        fault = None if package in said else _fault(found, subject)
        if fault is not None:
            said.add(package)
            # What is not here may be in the environment that the archive brings.
            softer = locked is not None and fault.state is State.ERROR
            yield replace(fault, state=State.WARNING) if softer else fault


def _package(module: str) -> str:
    """What a module comes with, as well as can be known: a distribution, a package, or itself."""
    top = module.partition(".")[0]
    shared = is_installed(top) and package_of(f"{top}.any") is None
    return distribution_of(module) or package_of(module) or (module if shared else top)


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


def _fault(found: Import, subject: Subject) -> Check | None:
    """Why an import fails here, or None when it does not."""
    if found.module.partition(".")[0] == compat.ROOT and compat.means_ours(found.module):
        absent = None if compat.offers(found.module) else str(compat.missing(found.module))
        return _check(found, f"{found.where}: {absent}", None) if absent else None
    if is_installed(found.module):
        return None
    owner = package_of(found.module)
    if owner is not None:
        # It may still be there: packages make modules while they are imported.
        message = f"{found.where} needs the module {found.module}, which {owner} seems not to have."
        known = distribution_of(owner)
        upgrade = f": `pip install -U {known}`" if known else ""
        hint = f"Perhaps another version has it{upgrade}."
        return Check(name="imports", state=State.WARNING, message=message, hint=hint)
    top = found.module.partition(".")[0]
    if any(member.startswith(f"{top}/") for member in subject.archive.members):
        return _check(found, *absent_module(found.module, found.where))
    return _check(found, *missing_module(found.module, found.where, subject.manifest))


def _check(found: Import, message: str, hint: str | None) -> Check:
    state = State.ERROR if found.certain else State.WARNING
    return Check(name="imports", state=state, message=message, hint=hint)


@dataclass(frozen=True, slots=True)
class Import:
    """One import of a module that is not the archive's own.

    Attributes:
        module: The module's full name.
        member: The member that imports it.
        line: Where.
        certain: Whether it happens whenever the member is imported.
    """

    module: str
    member: str
    line: int
    certain: bool

    @property
    def where(self) -> str:
        """Where it stands, in words."""
        return f"{self.member} (line {self.line})"


def imports_of(subject: Subject) -> Iterator[Import]:
    """What the handler, the model file, and the archive's modules that they import, import.

    Left out are the standard library, what ``except ImportError`` guards, and what never runs.

    Args:
        subject: The archive.
    """
    handler = subject.handler.member if subject.handler else None
    todo = [(m, True) for m in (handler, subject.manifest.model_file) if m]
    seen = set()
    while todo:
        member, certain = todo.pop(0)
        if member in seen or member not in subject.archive.members:
            continue
        seen.add(member)
        for found in _of_member(subject, member):
            sure = certain and found.certain
            inside = _inside(found.module, subject.archive.members)
            if inside:
                todo.extend((name, sure) for name in inside)
            elif found.module.partition(".")[0] not in sys.stdlib_module_names:
                yield Import(found.module, member, found.line, sure)


def _of_member(subject: Subject, member: str) -> Iterator[Import]:
    if subject.module(member) is None:  # no Python: the rules have said so
        return
    package = member.split("/")[:-1]
    for node, certain in _statements(ast.parse(subject.archive.read(member)).body):
        for module in _named(node, package):
            yield Import(module, member, node.lineno, certain)


def _named(node: ast.Import | ast.ImportFrom, package: list[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    above = package[: len(package) - node.level + 1] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    if not node.level:
        yield base
    elif package:
        # A relative import is the archive's own: `from . import shapes`, `from .shapes import Box`.
        yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _statements(
    body: list[ast.stmt], *, certain: bool = True
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement below a body, and whether it always runs."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, certain
        elif isinstance(node, ast.Try):
            yield from _of_try(node, certain=certain)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in _NEVER_RUN:
            yield from _statements(node.orelse, certain=certain)
        else:
            always = isinstance(node, (ast.ClassDef, ast.With))
            for part in ("body", "orelse", "handlers", "cases"):
                inner = [child for child in getattr(node, part, []) if isinstance(child, ast.AST)]
                flat = [s for child in inner for s in _flattened(child)]
                yield from _statements(flat, certain=certain and always)


def _flattened(child: ast.AST) -> list[ast.stmt]:
    """A statement, or the statements of an ``except`` or a ``case``."""
    return [child] if isinstance(child, ast.stmt) else getattr(child, "body", [])


def _of_try(node: ast.Try, *, certain: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    guarded = any(
        handler.type is None or any(name in ast.unparse(handler.type) for name in _MISSING)
        for handler in node.handlers
    )
    if not guarded:
        yield from _statements(node.body, certain=certain)
        for handler in node.handlers:
            yield from _statements(handler.body, certain=False)
    yield from _statements([*node.orelse, *node.finalbody], certain=certain and not guarded)


def _inside(module: str, members: Container[str]) -> list[str]:
    """The members that importing a module imports, when it is the archive's own."""
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names:
        return []
    found = []
    for depth in range(1, len(parts) + 1):
        stem = "/".join(parts[:depth])
        found += [name for name in (f"{stem}/__init__.py", f"{stem}.py") if name in members]
    own = f"{parts[0]}/__init__.py" in members or f"{parts[0]}.py" in members
    return found if own or (found and not is_installed(parts[0])) else []
