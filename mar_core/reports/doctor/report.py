"""What ``mar doctor`` found out: sections of checks."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mar_core.errors import MarError, UsageError
from mar_core.plugins import get_plugins
from mar_core.plugins.entry_points import in_words
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["Check", "Report", "Section", "State", "explain_config", "from_error", "guarded"]


class State(enum.StrEnum):
    """How one thing is: an error keeps mar, or the archive, from running here."""

    OK = "ok"
    MISSING = "missing"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        state: How it is; ``missing`` is something that nobody must have.
        message: What it is, or what is wrong with it, on one line.
        hint: What to do, or None.
    """

    name: str
    state: State = State.OK
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        hint = f" {self.hint}" if self.hint else ""
        return printable(f"{self.name}: {self.message}{hint}")

    def to_dict(self) -> dict[str, Any]:
        """The check as plain JSON values."""
        return {**asdict(self), "state": self.state.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Checks that belong together.

    Attributes:
        title: ``machine``, ``optional``, ``cache``, ``plugins`` or ``archive``.
        checks: What was looked at, in order.
    """

    title: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that was found out.

    Attributes:
        sections: What was looked at.
        archive: The archive that was asked about, or None.
    """

    sections: list[Section]
    archive: str | None = None

    @property
    def errors(self) -> list[Check]:
        """What keeps mar, or the archive, from running here."""
        checks = [check for section in self.sections for check in section.checks]
        return [check for check in checks if check.state is State.ERROR]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "archive": self.archive,
            "fine": not self.errors,
            **{s.title: [check.to_dict() for check in s.checks] for s in self.sections},
        }


def from_error(name: str, error: MarError, *, state: State = State.ERROR) -> Check:
    """The check that an error of ours stands for."""
    message = " ".join(error.message.split())
    return Check(name=name, state=state, message=message, hint=error.hint)


def guarded(title: str, look: Callable[[], Iterable[Check]]) -> Section:
    """Look at one section; whatever is broken there must not hide the others.

    Args:
        title: The section's name.
        look: Gives its checks.
    """
    checks: list[Check] = []
    try:
        checks.extend(look())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a doctor looks at broken things
        said = " ".join(str(error).split())
        message = f"It could not be looked at: {type(error).__name__}: {said}"
        checks.append(Check(name=title, state=State.ERROR, message=message))
    return Section(title=title, checks=tuple(checks))


def explain_config(path: Path) -> Section:
    """A check for each key of the file that is set.

    Raises:
        UsageError: There is no such file, nobody reads it, or it cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not there.", hint="Check the path behind --ts-config.")
    checks: list[Check] = []
    known = False
    for plugin, result in get_plugins().explain_config(path):
        if isinstance(result, MarError):
            raise result
        if isinstance(result, Exception):
            raise UsageError(
                f"The plugin {plugin} failed to read {path}: {in_words(result)}."
            ) from result
        known = known or result is not None
        checks += [
            Check(name=key, state=State.OK if works else State.WARNING, message=effect)
            for key, effect, works in result or ()
        ]
    if not known:
        raise UsageError(
            f"No plugin that is installed knows what {path.name} is.",
            hint="`mar plugins` lists them; a server's own plugin reads its configuration.",
        )
    return Section(title="configuration", checks=tuple(checks))
