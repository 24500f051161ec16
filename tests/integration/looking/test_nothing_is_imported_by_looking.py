"""Whoever only looks at an archive, also from inside it, imports nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mar_core.testing import make_archive

HANDLER = "def handle(data, context):\n    return data\n"
CANARY = "open({trace!r}, 'w').close()\nraise SystemExit(3)\n"
# Modules that our processes import early, late, or only if they are there.
NAMES = (
    "torch", "json", "yaml", "numpy", "signal", "importlib_metadata", "pluggy", "torchvision",
    "mar_core", "builtin_handlers", "usercustomize", "sitecustomize", "packaging", "typer", "rich",
    "mar_scan", "picklescan", "pathlib", "subprocess", "evil", "concurrent", "platform",
)  # fmt: skip


@pytest.fixture
def trap(tmp_path):
    """An unpacked archive in which every import would leave a trace, and where traces are left."""
    handler = tmp_path / "handler.py"
    handler.write_text(HANDLER)
    made = make_archive(tmp_path, handler=handler)
    nest, folder = tmp_path / "nest", tmp_path / "unpacked"
    nest.mkdir()
    subprocess.run([sys.executable, "-m", "zipfile", "-e", made, folder], check=True)
    for name in NAMES:
        (folder / f"{name}.py").write_text(CANARY.format(trace=str(nest / name)))
    metadata = folder / "evil-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[mar.plugins]\nevil = evil\n[mar.handlers]\nevil_handler = evil:Handler\n"
    )
    manifest = folder / "MAR-INF" / "MANIFEST.json"
    data = json.loads(manifest.read_text())
    data["mar"].pop("members", None)
    manifest.write_text(json.dumps(data))
    return folder, nest


def mar(folder: Path, *words: str, by_module: bool = False) -> subprocess.CompletedProcess[str]:
    script = [str(Path(sys.executable).with_name("mar"))]
    command = [sys.executable, "-m", "mar_core"] if by_module else script
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [*command, *words], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "words",
    [
        ["doctor", "."], ["plugins", "--check"], ["plugins"], ["validate", "."], ["inspect", "."],
        ["diff", ".", "."], ["run", ".", "handler.py", "--dry-run"], ["--help"], ["no-such"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_from_inside_an_archive(trap, words):
    folder, nest = trap
    done = mar(folder, *words)
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in nest.iterdir()) == []


@pytest.mark.parametrize("words", [["doctor", "."], ["plugins", "--check"]], ids=" ".join)
def test_by_the_name_of_the_module(trap, words):
    folder, nest = trap
    (folder / "mar_core.py").unlink()  # Python itself would take it for the module that -m names
    done = mar(folder, *words, by_module=True)
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in nest.iterdir()) == []


def test_the_traps_spring(trap):
    folder, nest = trap
    subprocess.run([sys.executable, "-c", "import torch"], cwd=folder, check=False)
    assert [path.name for path in nest.iterdir()] == ["torch"]
