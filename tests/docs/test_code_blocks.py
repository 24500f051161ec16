"""The code in README and docs is run, page by page, as a reader would run it.

```python`` blocks of a page run from top to bottom in one namespace; a block that begins with a
comment such as ``# handler.py`` or ``# config.yaml`` is that file. In ```console`` blocks each line
that starts with ``$`` is a command and must succeed, unless it ends in ``# exits N``. What is
shown below a command is what it prints: all of it, or all of its standard output; ``...`` stands
for anything, as in doctest. A command with nothing below it may print what it likes. Blocks
marked ``console tty`` run on a terminal, where ``mar`` shows tables. A page that installs packages
gets an environment of its own, one that locks them wheels of their names; nothing is fetched.
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
import wheels
from environments import Environment

PAGES = [tree.ROOT / "README.md", *sorted((tree.ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^```(python|yaml|toml|console|console tty)\n(.*?)^```", re.MULTILINE | re.DOTALL
)
FILE = re.compile(r"# ([\w./-]+\.(?:py|yaml|toml))\n+")
PIP = """#!/bin/sh
action=$1; shift
test $action = install && set -- --offline --no-deps --no-build-isolation "$@"
exec {uv} -m uv pip $action --quiet --python {python} "$@"
"""
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


def own_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an environment of its own on the PATH, with mar, pytest and pip."""
    environment = Environment.create(folder / ".env")
    scripts = environment.python.parent
    texts = {
        tool: f'#!/bin/sh\nexec {environment.python} -m {module} "$@"\n'
        for tool, module in {"mar": "mar_core", "pytest": "pytest -p no:cacheprovider"}.items()
    }
    texts["pip"] = PIP.format(uv=sys.executable, python=environment.python)
    for name, text in texts.items():
        (scripts / name).write_text(text, encoding="utf-8")
        (scripts / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")


def own_wheels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let uv know of wheels that have the names and versions of the pages, and of nothing else."""
    place = folder / ".wheels"
    place.mkdir()
    for version in ("0.9.0", "0.10.0"):
        wheels.wheel(place, "tabulate", version)
    for name, value in wheels.alone(place, cache=folder / ".uv").items():
        monkeypatch.setenv(name, value)


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
def test_code_blocks_run(page, workspace, monkeypatch):
    if "$ pip install" in page.read_text(encoding="utf-8"):
        own_environment(workspace, monkeypatch)
    if " --lock" in page.read_text(encoding="utf-8"):
        own_wheels(workspace, monkeypatch)
    script = []
    for language, block in blocks(page):
        name = FILE.match(block)
        if language == "python" and not name:
            script.append(block)
            continue
        flush(script, workspace)
        if language.startswith("console"):
            run_console(block, terminal=language.endswith("tty"))
        elif name:
            path = workspace / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block[name.end() :], encoding="utf-8")
    flush(script, workspace)


def flush(script: list[str], workspace: Path) -> None:
    """Run the Python blocks so far as one file: a reader's session, in a process of its own."""
    path, text = workspace / "page.py", "\n".join(script)
    if not script or (path.exists() and path.read_text(encoding="utf-8") == text):
        return
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["python", path.name], capture_output=True, text=True, timeout=PATIENCE, check=False
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


def test_the_index_names_every_page():
    index = tree.ROOT / "docs" / "README.md"
    linked = set(re.findall(r"\]\(([^)#]+)\)", index.read_text(encoding="utf-8")))
    pages = {str(page.relative_to(index.parent)) for page in index.parent.rglob("*.md")}
    assert linked == pages - {"README.md"}
