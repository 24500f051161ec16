"""The Python that an archive's workers run in, where that is not mar's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.cache.environments import python_of
from mar_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AUTO", "OFF", "Interpreter", "environment_named"]

AUTO, OFF = "auto", "off"

# What leads Python to packages of another environment.
_LEADS_ELSEWHERE = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """An environment of an archive, with what a worker of mar needs in it. It pickles.

    Attributes:
        folder: The environment.
        executable: Its interpreter.
        links: A folder with links to what the environment lacks of mar and its dependencies.
        inherits: Folders of packages that are searched last.
    """

    folder: Path
    executable: Path
    links: Path
    inherits: tuple[str, ...] = ()

    def variables(self, given: Mapping[str, str]) -> dict[str, str]:
        """The environment variables of a process that runs in it.

        Args:
            given: Those that it would have otherwise.
        """
        kept = {name: value for name, value in given.items() if name not in _LEADS_ELSEWHERE}
        path = filter(None, (str(self.executable.parent), given.get("PATH", os.defpath)))
        return {
            **kept,
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": str(self.links),
            "VIRTUAL_ENV": str(self.folder),
        }


def environment_named(word: str | None) -> str | None:
    """What ``--env`` and ``MAR_ENV`` say, as a recipe holds it.

    Args:
        word: ``auto``, ``off``, a folder, or None.

    Raises:
        UsageError: It is a folder that holds no environment.
    """
    if word is None or word in {"", AUTO, OFF}:
        return word or None
    folder = Path(word).absolute()
    if not os.path.isfile(python_of(folder)):  # noqa: PTH113 - says no of what is no path, too
        raise UsageError(
            f"--env {word} is no environment: there is no {python_of(Path(word))}.",
            hint="Name the folder of a virtual environment, or `auto`, or `off`.",
        )
    return str(folder)
