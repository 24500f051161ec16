"""How everything here is measured: one command after the other, in turns, with what each cost.

Only ratios within one table mean anything. The opponents take turns (A B A B …), so that a busy
machine is busy for all of them; the first round warms up and is not counted, and in it the outputs
are compared.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable
MAR = Path(PYTHON).with_name("mar")
MEGA = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes and rounds.

    Attributes:
        folder: Where everything is made.
        scale: ``quick`` only shows that it works, ``full`` is what the aims speak of.
    """

    folder: Path
    scale: str = "normal"

    def pick(self, *, quick, normal, full):
        """The value for this scale."""
        return {"quick": quick, "normal": normal, "full": full}[self.scale]

    @property
    def rounds(self) -> int:
        """Rounds that count."""
        return self.pick(quick=1, normal=5, full=7)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one run of a command took, its child processes included."""

    seconds: float
    cpu: float
    peak: int
    written: int


@dataclass(kw_only=True)
class Contender:
    """A command that is measured.

    Attributes:
        words: The command.
        before: Called before each run, outside the time.
        check: Called after the run that warms up; raises when the output is wrong.
        variables: Added to the environment.
        exits: The exit code that is right.
        costs: What the counted runs took.
    """

    words: Sequence[str | Path]
    before: Callable[[], object] = int
    check: Callable[[], object] = int
    variables: Mapping[str, str] = field(default_factory=dict)
    exits: int = 0
    costs: list[Cost] = field(default_factory=list)


def race(contenders: Mapping[str, Contender], *, rounds: int, folder: Path) -> None:
    """Run every contender once to warm up and to be checked, then in turns."""
    for contender in contenders.values():
        contender.before()
        run(contender, folder)
        contender.check()
    for _ in range(rounds):
        for contender in contenders.values():
            contender.before()
            contender.costs.append(run(contender, folder))


def run(contender: Contender, folder: Path) -> Cost:
    """Run a command and say what it cost."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in contender.words],
            cwd=folder,
            env={**_environment(), **contender.variables},
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != contender.exits:
            said.seek(0)
            sys.exit(f"{contender.words} exited with {process.returncode}:\n{said.read().decode()}")
    return Cost(
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * 1024,
        written=usage.ru_oublock * 512,
    )


def _environment() -> dict[str, str]:
    """This process's, but that bytecode is kept, as it is where programs are installed."""
    return {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def python(code_or_file: str | Path, *words: str | Path) -> list[str | Path]:
    """The command that runs a file of this folder, or some code."""
    if isinstance(code_or_file, Path):
        return [PYTHON, code_or_file, *words]
    return [PYTHON, "-c", code_or_file, *words]


def costs_table(title: str, contenders: Mapping[str, Contender], *, base: str) -> str:
    """What every contender took, and how that compares with one of them."""
    unit = statistics.median(cost.seconds for cost in contenders[base].costs)
    rows = [_row(name, contender.costs, unit) for name, contender in contenders.items()]
    head = ("", "seconds", "min", "max", f"× {base}", "CPU s", "peak MB", "written MB")
    return table(title, head, rows)


def _row(name: str, costs: Sequence[Cost], unit: float) -> tuple[str, ...]:
    seconds = sorted(cost.seconds for cost in costs)
    middle = statistics.median(seconds)
    return (
        name,
        *(f"{value:.3f}" for value in (middle, seconds[0], seconds[-1])),
        f"{middle / unit:.2f}",
        f"{statistics.median(cost.cpu for cost in costs):.3f}",
        f"{max(cost.peak for cost in costs) / MEGA:.0f}",
        f"{statistics.median(cost.written for cost in costs) / MEGA:.3f}",
    )


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A title and rows under a head, the numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [title, ""]
    for first, *others in (head, *rows):
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, ""])
