"""The code in README and docs is run, page by page, as a reader would run it.

```python`` blocks of a page run from top to bottom in one namespace; in ```console`` blocks each
line that starts with ``$`` is a command and must succeed, unless it ends in ``# exits N``. What is
shown below a command is what it prints: all of it, or all of its standard output; ``...`` stands
for anything, as in doctest. A command with nothing below it may print what it likes. Blocks
marked ``console tty`` run on a terminal, where ``mar`` shows tables.
"""

from __future__ import annotations

import doctest
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import tree

PAGES = [tree.ROOT / "README.md", *sorted((tree.ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|console|console tty)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXITS = re.compile(r"\s+# exits (\d+)$")
COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
PATIENCE = 240


@dataclass
class Command:
    """A command of a console block.

    Attributes:
        line: What a reader types.
        exits: The exit code that it must have.
        shown: What the page shows below it.
    """

    line: str
    exits: int
    shown: str = ""


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(block: str) -> list[Command]:
    """The commands of a console block, continued lines joined, with what is shown below each."""
    found: list[Command] = []
    for line in re.sub(r"\\\n(> )?", " ", block).splitlines(keepends=True):
        if line.startswith("$ "):
            text = line[2:].rstrip()
            match = EXITS.search(text)
            found.append(
                Command(text[: match.start()] if match else text, int(match[1]) if match else 0)
            )
        else:
            found[-1].shown += line
    return found


def same(shown: str, *printed: str) -> bool:
    """Whether a page shows one of these; spaces at the ends of lines do not count."""
    check = doctest.OutputChecker().check_output
    return any(check(_trimmed(shown), _trimmed(text), doctest.ELLIPSIS) for text in printed)


def _trimmed(text: str) -> str:
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "\n".join([*lines, ""])


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty folder with the repository's examples, and ``mar`` on the PATH."""
    (tmp_path / "examples").symlink_to(tree.ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MAR_CACHE_DIR", str(tmp_path / ".cache"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def run_console(block: str, *, terminal: bool) -> None:
    for command in commands(block):
        code, printed = (on_a_terminal if terminal else in_a_pipe)(command.line)
        told = f"$ {command.line}\n{printed[0]}\n[exit {code}]"
        assert code == command.exits, told
        assert not command.shown or same(command.shown, *printed), f"{told}\nis not what is shown"


def in_a_pipe(line: str) -> tuple[int, tuple[str, ...]]:
    """The exit code, and what a page may show: both streams, or standard output alone."""
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.returncode, (done.stdout + done.stderr, done.stderr + done.stdout, done.stdout)


def on_a_terminal(line: str) -> tuple[int, tuple[str, ...]]:
    """The exit code, and what the terminal shows."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        ["bash", "-c", line], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as process:
        os.close(slave)
        printed = b"".join(iter(lambda: _read(master), b""))
        os.close(master)
        code = process.wait(PATIENCE)
    return code, (COLOURS.sub("", printed.decode().replace("\r\n", "\n")),)


def _read(master: int) -> bytes:
    """The next bytes of a terminal; Linux ends it by an error."""
    try:
        return os.read(master, 1 << 16)
    except OSError:
        return b""


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda p: str(p.relative_to(tree.ROOT))
)
def test_code_blocks_run(page, workspace):
    script = []
    for language, block in blocks(page):
        if language == "python":
            script.append(block)
        else:
            flush(script, workspace)
            run_console(block, terminal=language.endswith("tty"))
    flush(script, workspace)


def flush(script: list[str], workspace: Path) -> None:
    """Run the Python blocks so far as one file: a reader's session, in a process of its own."""
    if not script:
        return
    path = workspace / "page.py"
    path.write_text("\n".join(script), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, path.name], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "tty"])
def test_what_is_shown_is_compared(workspace, terminal):
    run_console("$ echo one; echo two >&2\none\ntwo\n$ seq 100\n1\n...\n100\n", terminal=terminal)
    with pytest.raises(AssertionError, match="not what is shown"):
        run_console("$ echo one\ntwo\n", terminal=terminal)
    with pytest.raises(AssertionError, match="exit 3"):
        run_console("$ exit 3\n", terminal=terminal)
