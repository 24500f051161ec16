"""Counts the walk of one command through the house: which files it enters, how often it changes.

``python tests/support/walk.py COMMAND …`` runs ``mar COMMAND …`` in this process and writes one
line of JSON to standard error at its end. A file counts when one of its functions is called, not
when it is imported; a change is a call or a return that leads to another file of mar_core.
"""

from __future__ import annotations

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
COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}


@dataclass(frozen=True)
class Walk:
    files: list[str]
    changes: int
    calls: int


class Counter:
    """A profile function that follows each thread by itself."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: set[str] = set()
        self.changes = self.calls = 0
        self._here = threading.local()

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Called at each call and return; those of C are skipped."""
        code = frame.f_code if event == "call" else frame.f_back and frame.f_back.f_code
        if event not in {"call", "return"} or not code or not self._is_ours(code):
            return
        if event == "call":
            self.calls += 1
            self.files.add(code.co_filename)
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
        files = sorted(str(Path(file).relative_to(root)) for file in counter.files)
        facts = {"files": files, "changes": counter.changes, "calls": counter.calls}
        print(f"{MARK}{json.dumps(facts)}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
