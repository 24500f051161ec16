"""Counts the walk of one command through the house: which files it enters, how often it changes.

``python tests/support/walk.py COMMAND …`` runs ``mar COMMAND …`` in this process and writes one
line of JSON to standard error at its end. A file counts when one of its functions is called, not
when it is imported; a change is a call or a return that leads to another file of mar_core.
"""

from __future__ import annotations

import collections
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from inspect import CO_OPTIMIZED
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, FrameType

MARK = "walk: "
# Calls a row; what belongs to a frame, or to a look at the clock, comes to less.
SELDOM = 0.5
# Looks at workers that are still loading come by the clock: a slow machine has more of them.
BY_THE_CLOCK = {"_gone_or_late"}
COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}


@dataclass(frozen=True)
class Walk:
    """What a command came to.

    Attributes:
        files: The files that it entered, and how many calls each took.
        changes: How often it went from one file to another.
        calls: How many calls there were.
    """

    files: dict[str, int]
    changes: int
    calls: int

    def each(self, less: Walk, rows: int) -> dict[str, float]:
        """The calls that each of so many more rows takes, by file; what seldom happens is left out.

        Args:
            less: The walk of the same command with fewer rows.
            rows: How many fewer.
        """
        more = {
            file: (calls - less.files.get(file, 0)) / rows for file, calls in self.files.items()
        }
        return {file: calls for file, calls in more.items() if calls >= SELDOM}


class Counter:
    """A profile function that follows each thread by itself."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: collections.Counter[str] = collections.Counter()
        self.changes = self.calls = 0
        self._here = threading.local()

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Called at each call and return; those of C are skipped."""
        look = getattr(self._here, "look", None)
        if look is None and event == "call" and frame.f_code.co_name in BY_THE_CLOCK:
            look = self._here.look = frame
        if look is not None:
            if frame is look and event == "return":
                self._here.look = None
            return
        code = frame.f_code if event == "call" else frame.f_back and frame.f_back.f_code
        if event not in {"call", "return"} or not code or not self._is_ours(code):
            return
        if event == "call":
            self.calls += 1
            self.files[code.co_filename] += 1
        if getattr(self._here, "file", None) != code.co_filename:
            self.changes += 1
            self._here.file = code.co_filename

    def _is_ours(self, code: CodeType) -> bool:
        # The bodies of modules and classes, and comprehensions, are no functions.
        if not code.co_flags & CO_OPTIMIZED or code.co_name in COMPREHENSIONS:
            return False
        return code.co_filename.startswith(self.root)


def walked(*words: object, cwd: Path | None = None) -> Walk:
    """The walk of one command in a process of its own."""
    command = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    return Walk(**json.loads(last.removeprefix(MARK)))


def main() -> None:
    import mar_core
    from mar_core.cli import main as mar

    sys.argv = ["mar", *sys.argv[1:]]
    root = str(Path(mar_core.__file__).parent)
    counter = Counter(root)
    threading.setprofile(counter)
    sys.setprofile(counter)
    code: Any = 0
    try:
        mar()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.setprofile(None)
        calls = counter.files.items()
        files = {str(Path(file).relative_to(root)): count for file, count in sorted(calls)}
        facts = {"files": files, "changes": counter.changes, "calls": counter.calls}
        print(f"{MARK}{json.dumps(facts)}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
