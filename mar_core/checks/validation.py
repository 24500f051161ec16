"""The loop over everything that looks at an archive: built-in rules and plugins alike."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

from mar_core.checks.trust import TRUST_CODES, is_trusted
from mar_core.findings import Finding, Severity, ValidationError, has_errors
from mar_core.format.codes import Code
from mar_core.format.limits import TooCostly, budget
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.format import Archive
    from mar_core.plugins import Plugins

__all__ = ["CODES", "check", "validate", "without_repeats"]

CODES: dict[str, Code] = {
    "MAR-X001": Code(
        Severity.ERROR,
        "Every plugin that looks at archives works",
        "Update the plugin, or switch it off with MAR_DISABLED_PLUGINS.",
    ),
    "MAR-X002": Code(
        Severity.ERROR,
        "Plugins return findings",
        "Update the plugin, or switch it off with MAR_DISABLED_PLUGINS.",
    ),
}


def validate(
    archive: Archive, *, plugins: Plugins | None = None, allow_pickle: bool = False
) -> list[Finding]:
    """Look at an archive and say what is wrong with it.

    Nothing of the archive is imported, unpickled or run.

    Args:
        archive: The archive, open; or sources that are not packed yet.
        plugins: Who looks; by default every plugin that is installed.
        allow_pickle: Whether weights that can run code when they are loaded are a warning rather
            than an error.

    Returns:
        What opening it found, then what the rules and the plugins found.
    """
    if plugins is None:
        from mar_core.plugins import get_plugins

        plugins = get_plugins()
    found, word = list(archive.findings), _Word(archive, asked=allow_pickle)
    try:
        with budget(archive.stored_size) as left:
            for name, result in plugins.validate_archive(archive, _Known(found)):
                found.extend(word.softened(finding) for finding in _collect(name, result))
                left.check()
    except TooCostly as error:
        found.append(error.finding)
    return without_repeats(found)


def check(
    archive: Archive, *, plugins: Plugins | None = None, allow_pickle: bool = False
) -> list[Finding]:
    """Look at an archive and refuse it if anything is wrong.

    Args:
        archive: The archive, open; or sources that are not packed yet.
        plugins: Who looks; by default every plugin that is installed.
        allow_pickle: Whether weights that can run code when they are loaded are taken.

    Returns:
        Warnings and notes.

    Raises:
        ValidationError: There is a finding of severity error.
    """
    findings = validate(archive, plugins=plugins, allow_pickle=allow_pickle)
    if findings and has_errors(findings):
        raise ValidationError(_verdict(archive), findings)
    return findings


def _verdict(archive: Archive) -> str:
    name = printable(str(archive))
    if archive.path is None:
        return f"{name[:1].upper()}{name[1:]} do not make a sound archive:"
    return f"{name} is not a sound archive:"


def _collect(plugin: str, result: Any) -> Iterator[Finding]:
    """The findings that one plugin returned, signed with its name."""
    if isinstance(result, TooCostly):
        raise result
    if isinstance(result, Exception):
        yield _broken(plugin, "MAR-X001", f"failed: {type(result).__name__}: {_line(result)}")
        return
    if result is None:
        return
    if not isinstance(result, Iterable) or isinstance(result, (str, bytes)):
        yield _broken(plugin, "MAR-X002", f"returned {type(result).__name__}, not findings")
        return
    try:
        items = list(result)
    except Exception as error:  # noqa: BLE001 - an iterable of the plugin's own may raise anything
        yield from _collect(plugin, error)
        return
    for item in items:
        if isinstance(item, Finding):
            yield dataclasses.replace(item, plugin=plugin)
        else:
            yield _broken(plugin, "MAR-X002", f"returned {type(item).__name__}, not a Finding")


def _broken(plugin: str, code: str, what: str) -> Finding:
    severity, _, remedy = CODES[code]
    return Finding(
        code=code,
        message=f"The plugin {plugin} {what}.",
        severity=severity,
        hint=remedy,
        plugin=plugin,
    )


def _line(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:300].rstrip(".")


class _Word:
    """The user's word turns some errors into warnings; whether it was given is asked once."""

    def __init__(self, archive: Archive, *, asked: bool) -> None:
        self._archive = archive
        self._asked = asked

    @functools.cached_property
    def _given(self) -> bool:
        return is_trusted(self._archive, asked=self._asked)

    def softened(self, finding: Finding) -> Finding:
        error = finding.code in TRUST_CODES and finding.severity is Severity.ERROR
        if not error or not self._given:
            return finding
        return dataclasses.replace(finding, severity=Severity.WARNING)


class _Known(Sequence[Finding]):
    """What has been found so far, for reading."""

    def __init__(self, found: list[Finding]) -> None:
        self._found = found

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> list[Finding]: ...
    def __getitem__(self, index: int | slice) -> Finding | list[Finding]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)


def without_repeats(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without those that say again what another said, whoever reported it."""
    distinct: dict[tuple[str, str | None, str], Finding] = {}
    for finding in findings:
        distinct.setdefault((finding.code, finding.member, finding.message), finding)
    return list(distinct.values())
