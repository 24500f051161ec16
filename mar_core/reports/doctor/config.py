"""What each key of another server's configuration does here, as plugins say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.errors import MarError, UsageError
from mar_core.plugins import get_plugins
from mar_core.plugins.entry_points import in_words
from mar_core.reports.doctor.report import Check, Section, State

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["explain_config"]


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
