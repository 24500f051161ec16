"""``mar validate`` as a function: read an archive to its end, hold it against every rule."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError
from mar_core.findings import Finding, Severity, ValidationError

if TYPE_CHECKING:
    from mar_core.plugins import Plugins

__all__ = ["Checked", "check_archive", "look_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found in an archive.

    Attributes:
        path: The archive, as it was named.
        findings: Everything that was found, in the order of the checks.
        failure: Why it could not be looked at, or None.
    """

    path: str
    findings: tuple[Finding, ...] = ()
    failure: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it could be looked at, and none of the findings is an error."""
        return self.failure is None and not self.count(Severity.ERROR)

    def count(self, severity: Severity) -> int:
        """How many findings there are of that severity."""
        return sum(1 for finding in self.findings if finding.severity is severity)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "archive": self.path,
            "sound": self.is_sound,
            "failure": self.failure,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def check_archive(
    path: str | os.PathLike[str], *, allow_pickle: bool = False, plugins: Plugins | None = None
) -> Checked:
    """Look at an archive from its first byte to its last.

    Nothing of it is imported, unpickled or run, and nothing is written. By default that is done in
    a process with limits; plugins that are given look at it in this one.

    Args:
        path: A ``.mar``, a ``.tar.gz`` or a folder.
        allow_pickle: Whether weights that can run code when they are loaded are a warning rather
            than an error.
        plugins: Who looks; by default every plugin that is installed.

    Returns:
        What was found. An archive that is not there, or cannot be read, is a failure.
    """
    from mar_core.checks.child import examine_in_child

    if plugins is not None:
        return look_at(path, allow_pickle=allow_pickle, plugins=plugins)
    try:
        found = examine_in_child(path, allow_pickle=allow_pickle)
    except ArchiveError as error:
        return Checked(path=os.fspath(path), failure=str(error))
    return Checked(path=os.fspath(path), findings=found)


def look_at(path: str | os.PathLike[str], *, allow_pickle: bool, plugins: Plugins) -> Checked:
    """The same in this process, within the budget that readers and rules keep."""
    from mar_core.checks.validation import validate, without_repeats
    from mar_core.format.budget import TooCostly, budget
    from mar_core.format.reader import open_archive

    try:
        with open_archive(path) as archive, budget(archive.stored_size):
            damage = archive.verify()
            found = validate(archive, plugins=plugins, allow_pickle=allow_pickle)
    except TooCostly as error:
        damage, found = [], [error.finding]
    except ValidationError as error:
        damage, found = [], list(error.findings)
    except ArchiveError as error:
        return Checked(path=os.fspath(path), failure=str(error))
    return Checked(path=os.fspath(path), findings=tuple(without_repeats([*damage, *found])))
