"""The quick commands never import torch, nor anything else that is slow to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "numpy",
    "PIL",
    "jinja2",
    "cookiecutter",
    "pyarrow",
    "ray",
    "captum",
    "pydantic",
)
PROBE = """
import sys
sys.argv = ["mar", *{words!r}]
from mar_core.cli import main
try:
    main()
except SystemExit as end:
    code = end.code or 0
found = [name for name in {heavy!r} if name in sys.modules]
assert not found, found
sys.exit(code)
"""


def run(*words: str, cwd=None, heavy=HEAVY) -> subprocess.CompletedProcess[str]:
    code = PROBE.format(words=[str(word) for word in words], heavy=list(heavy))
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("light")
    (folder / "handler.py").write_text("def handle(data, context):\n    return data\n")
    done = run(
        *("archive", "--model-name", "echo", "--version", "1", "--handler", "handler.py"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / "echo.mar"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"], ["--version"], ["archive", "--help"], ["run", "--help"], ["plugins"],
        ["plugins", "--json"], ["cache"], ["new", "--help"], ["doctor", "--help"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands_without_an_archive(words):
    done = run(*words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", [["validate"], ["inspect"], ["inspect", "--json"]], ids=" ".join
)
def test_commands_that_look_at_an_archive(command, archive):
    done = run(*command, archive)
    assert done.returncode == 0, done.stderr


def test_inspect_imports_what_it_needs(archive):
    """Twice as long as ``import typer`` is what it may take; each of these is a tenth of that."""
    costly = (
        "email.parser",
        "tarfile",
        "tomllib",
        "rich.console",
        "mar_core.run",
        "mar_core.records",
    )
    done = run("--no-plugins", "inspect", archive, heavy=costly)
    assert done.returncode == 0, done.stderr


def test_diff(archive):
    done = run("diff", archive, archive)
    assert done.returncode == 0, done.stderr


def test_the_probe_notices():
    code = PROBE.format(words=["--version"], heavy=["typer", *HEAVY])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AssertionError: ['typer']" in done.stderr
