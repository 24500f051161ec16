"""Entry points: who offers which handler and which plugin, known from metadata alone."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import importlib_metadata

from mar_core.errors import PluginError
from mar_core.plugins.remedies import how_to_install
from mar_core.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "HANDLER_GROUP",
    "HOST",
    "PLUGIN_GROUP",
    "EntryInfo",
    "asked_of",
    "clash_hint",
    "contains",
    "find_entries",
    "find_handler",
    "host_version",
    "in_words",
    "join",
    "nearest_handlers",
    "rivals",
    "unreadable_distributions",
]

HANDLER_GROUP = "mar.handlers"
PLUGIN_GROUP = "mar.plugins"
UNKNOWN = "unknown"
HOST = "mar-core"

_OURS = re.compile(r"\s*mar[-_.]+core(?![-_.]*[a-z0-9])", re.IGNORECASE)
# ``packaging`` takes longer to import than every plugin together, so that what most distributions
# ask, such as ``mar-core<0.2,>=0.1``, is understood here: versions of numbers alone, in which
# nothing comes before or after a release.
_NUMBERS, _SIGN = r"\d+(?:\.\d+)*", r"[<>]=?|=="
_RELEASE = re.compile(_NUMBERS)
_COMPARISON = re.compile(rf"({_SIGN})({_NUMBERS})")
_EACH = rf"(?:{_SIGN}){_NUMBERS}"
_PLAIN = re.compile(rf"{HOST}(?:\[[a-z,]*\])?({_EACH}(?:,{_EACH})*)")
_COMPARE = {
    "<": operator.lt, "<=": operator.le, "==": operator.eq, ">=": operator.ge, ">": operator.gt,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryInfo:
    """One entry point, known from metadata alone.

    Attributes:
        name: The name that users type.
        group: ``mar.handlers`` or ``mar.plugins``.
        target: ``module:attribute`` as declared.
        distribution: The distribution that declares it.
        version: That distribution's version.
        requires: Its requirements that may name mar-core, as the metadata has them.
        is_ours: Whether it comes with mar itself.
    """

    name: str
    group: str
    target: str
    distribution: str
    version: str
    requires: tuple[str, ...] = ()
    is_ours: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_ours", self.distribution == HOST)

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"

    @property
    def kind(self) -> str:
        """``handler`` or ``plugin``."""
        return "handler" if self.group == HANDLER_GROUP else "plugin"

    @property
    def module(self) -> str:
        """The module of the target."""
        return self.target.partition(":")[0].strip()

    def check_host(self) -> None:
        """Refuse an entry that was made for another version of mar.

        Raises:
            PluginError: This mar is not among the versions that it asks for.
        """
        asked = asked_of(self.requires)
        version = host_version() if asked else UNKNOWN
        if version == UNKNOWN:
            return
        if not contains(asked, version):
            raise PluginError(
                f"The {self.kind} {self} needs {HOST} {asked}, and this is {HOST} {version}.",
                hint=f"Upgrade one of the two: {self.distribution}, or mar from its sources.",
            )

    def load(self) -> Any:
        """Import the target. What it prints meanwhile goes to standard error.

        Raises:
            PluginError: It asks for another version of mar, fails to import, or is not there.
        """
        self.check_host()
        entry = importlib_metadata.EntryPoint(self.name, self.target, self.group)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return entry.load()
        except (Exception, SystemExit) as error:  # a module may call sys.exit() when imported
            raise PluginError(
                f"The {self.kind} {self} cannot be imported: {in_words(error)}.",
                hint=_import_hint(self, error),
            ) from error


def find_entries(group: str) -> list[EntryInfo]:
    """List the entry points of a group without importing anything.

    Args:
        group: ``HANDLER_GROUP`` or ``PLUGIN_GROUP``.

    Returns:
        The entries by name, then distribution; a name that two distributions offer is there twice.
    """
    return [entry for entry in _scan().entries if entry.group == group]


def unreadable_distributions() -> Iterator[tuple[str, str]]:
    """Distributions that mean to offer something to mar and whose entry points are malformed.

    Yields:
        The distribution's name and version, and one sentence.
    """
    for name in _scan().malformed:
        yield name, f"The entry_points.txt of {name} is malformed."


class _Installed(NamedTuple):
    """What one look at everything that is installed found."""

    entries: tuple[EntryInfo, ...]
    malformed: tuple[str, ...]


def _scan() -> _Installed:
    """Look at what is installed, once in a process for each search path."""
    return _scan_path(tuple(sys.path))


@functools.lru_cache(maxsize=4)
def _scan_path(path: tuple[str, ...]) -> _Installed:  # noqa: ARG001 - what the answer depends on
    found: dict[tuple[str, str, str], EntryInfo] = {}
    malformed: list[str] = []
    # Of a path that is not there, such as Python's own zip, it would be seen whether it is a zip.
    there = [folder for folder in sys.path if os.path.exists(folder or ".")]  # noqa: PTH110
    for distribution in importlib_metadata.distributions(path=there):
        if not _mentions_us(distribution):
            continue
        owner = _owner(distribution)
        # One distribution with broken metadata must not hide the others.
        try:
            for entry in distribution.entry_points:
                if entry.group in {HANDLER_GROUP, PLUGIN_GROUP}:
                    info = EntryInfo(
                        name=entry.name, group=entry.group, target=entry.value, **owner
                    )
                    key = (info.group, info.name, info.distribution)
                    found.setdefault(key, info)  # the first on the path
        except Exception:  # noqa: BLE001 - each way of being malformed raises something else
            malformed.append(f"{owner['distribution']} {owner['version']}")
    return _Installed(tuple(found[key] for key in sorted(found)), tuple(malformed))


def find_handler(name: str, *, distribution: str | None = None) -> EntryInfo | None:
    """The registered handler of that name, or None.

    The names of the handlers that come with mar are theirs whoever else offers them.

    Args:
        name: The handler's name.
        distribution: The one to take when several offer the name, as an archive records it.

    Raises:
        PluginError: Two distributions offer it.
    """
    matches = [entry for entry in find_entries(HANDLER_GROUP) if entry.name == name]
    wanted = [e for e in matches if e.distribution == distribution] or [
        e for e in matches if e.is_ours
    ]
    if len(matches) > 1 and len(wanted) != 1:
        raise PluginError(
            f"The handler name {name!r} is offered by {join(matches)}.",
            hint=clash_hint(matches),
        )
    return next(iter(wanted or matches), None)


def nearest_handlers(name: str) -> list[str]:
    """Registered handler names that look like this one, best first."""
    names = {entry.name for entry in find_entries(HANDLER_GROUP)}
    return nearest(name, names, most=3)


def rivals(entry: EntryInfo, entries: Iterable[EntryInfo]) -> list[EntryInfo]:
    """Everybody who offers this entry's name; an entry that comes with mar has no rivals."""
    if entry.is_ours:
        return [entry]
    return [e for e in entries if (e.group, e.name) == (entry.group, entry.name)]


def clash_hint(entries: Iterable[EntryInfo]) -> str:
    """What to do when several distributions offer one name."""
    others = [entry.distribution for entry in entries if not entry.is_ours]
    if len(others) == 1:
        return f"The one that comes with mar is used; uninstall {others[0]}."
    return "None of them is used; uninstall all but one."


def join(entries: Iterable[EntryInfo]) -> str:
    """The distributions of these entries, in words."""
    return " and ".join(f"{entry.distribution} {entry.version}" for entry in entries)


def host_version() -> str:
    """The version of mar-core, or ``unknown`` where it runs from a folder that is not installed."""
    # Its entries say it. To ask for one distribution's version would have all of `email` imported.
    return next((entry.version for entry in _scan().entries if entry.is_ours), UNKNOWN)


def in_words(error: BaseException) -> str:
    """An exception as one line, without the full stop."""
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, PluginError):
        return text
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({text})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _owner(distribution: Any) -> dict[str, Any]:
    """What an entry says of the distribution that declares it; parsed once, which is what costs."""
    fields: dict[str, list[str]] = {}
    with contextlib.suppress(Exception):  # a folder that an uninstall left behind has none
        fields = _fields(distribution)
    return {
        "distribution": fields.get("name", [UNKNOWN])[0],
        "version": fields.get("version", [UNKNOWN])[0],
        "requires": tuple(line for line in fields.get("requires-dist", ()) if "mar" in line),
    }


def _fields(distribution: Any) -> dict[str, list[str]]:
    """The metadata of a distribution, but for the fields of several lines.

    ``distribution.metadata`` is a message of ``email``, whose parser and policies take longer to
    import than a command that needs no model may take.
    """
    files = ("METADATA", "PKG-INFO", "")  # the last for an egg-info that is a file
    text = next(filter(None, map(distribution.read_text, files)), "")
    fields: dict[str, list[str]] = {}
    for line in text.partition("\n\n")[0].splitlines():
        name, colon, value = line.partition(":")
        if colon and value.strip() and not line[0].isspace():
            fields.setdefault(name.lower(), []).append(value.strip())
    return fields


def _mentions_us(distribution: Any) -> bool:
    with contextlib.suppress(Exception):
        text = distribution.read_text("entry_points.txt") or ""
        return f"[{PLUGIN_GROUP}]" in text or f"[{HANDLER_GROUP}]" in text
    return False


def _import_hint(entry: EntryInfo, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package, ours = error.name.partition(".")[0], entry.module.partition(".")[0]
        if package != ours:
            return how_to_install(error.name)
    if entry.is_ours:
        return "Install mar again, in a checkout of it: `pip install --force-reinstall .`."
    if entry.kind == "handler":  # only the archives that name it import it
        return f"Upgrade it or remove it: `pip uninstall {entry.distribution}`."
    return (
        f"Upgrade it, remove it (`pip uninstall {entry.distribution}`) or switch it off "
        f"(`MAR_DISABLED_PLUGINS={entry.name}`)."
    )


def asked_of(requirements: Iterable[str]) -> str:
    """The versions of mar-core that requirements ask for, such as ``>=0.1,<0.2``, or empty."""
    with contextlib.suppress(Exception):
        asked = map(_specifier_of, filter(_OURS.match, requirements))
        return next((specifier for specifier in asked if specifier is not None), "")
    return ""


@functools.cache
def contains(asked: str, version: str) -> bool:
    """Whether a specifier such as ``>=0.1,<0.2`` takes a version; pre-releases count.

    Raises:
        ValueError: One of the two cannot be understood.
    """
    comparisons = [_COMPARISON.fullmatch(part) for part in asked.split(",")]
    if _RELEASE.fullmatch(version) and all(comparisons):
        given = _numbers(version)
        return all(_COMPARE[found[1]](given, _numbers(found[2])) for found in comparisons if found)
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(asked).contains(version, prereleases=True)


def _specifier_of(requirement: str) -> str | None:
    if (plain := _PLAIN.fullmatch(requirement)) is not None:
        return plain[1]
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    parsed = Requirement(requirement)
    same = canonicalize_name(parsed.name) == HOST and "extra" not in str(parsed.marker)
    return str(parsed.specifier) if same else None


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version; 1.0 is 1."""
    numbers = [int(number) for number in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
