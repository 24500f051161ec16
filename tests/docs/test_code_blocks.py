"""The code in README and docs is run, page by page, as a reader would run it.

```python`` blocks of a page run from top to bottom in one namespace; in ```console`` blocks each
line that starts with ``$`` is a command and must succeed, unless it ends in ``# exits N``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tree

PAGES = [tree.ROOT / "README.md", *sorted((tree.ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXITS = re.compile(r"\s+# exits (\d+)$")


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(block: str) -> list[tuple[str, int]]:
    """The commands of a console block, continued lines joined, and their exit codes."""
    found = []
    for line in block.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            match = EXITS.search(line)
            found.append(
                (line[2 : match.start() if match else None], int(match[1]) if match else 0)
            )
    return found


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty folder with the repository's examples, and ``mar`` on the PATH."""
    (tmp_path / "examples").symlink_to(tree.ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MAR_CACHE_DIR", str(tmp_path / ".cache"))
    return tmp_path


def run_console(block: str) -> None:
    for command, expected in commands(block):
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == expected, f"$ {command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda p: str(p.relative_to(tree.ROOT))
)
def test_code_blocks_run(page, workspace):
    script = []
    for language, block in blocks(page):
        if language == "console":
            flush(script, workspace)
            run_console(block)
        else:
            script.append(block)
    flush(script, workspace)


def flush(script: list[str], workspace: Path) -> None:
    """Run the Python blocks so far as one file: a reader's session, in a process of its own."""
    if not script:
        return
    path = workspace / "page.py"
    path.write_text("\n".join(script), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, path.name], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"
