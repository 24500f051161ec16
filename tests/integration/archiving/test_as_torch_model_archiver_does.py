"""What works with torch-model-archiver 0.12 gives the same members at the same places here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packs import HANDLER, mar_here, model_folder

REAL = Path(sys.prefix) / "torchserve"
MANIFEST = "MAR-INF/MANIFEST.json"
BARE = ["--handler", "handler.py"]
WORDS = {
    "a file": BARE,
    "a file without its ending": ["--handler", "sub/h"],
    "a function": ["--handler", "sub/h:predict"],
    "a path with dots": ["--handler", "./sub/../sub/h.py"],
    "a built-in": ["--handler", "base_handler", "--model-file", "net.py"],
    "every file": [*BARE, "--serialized-file", "weights.safetensors", "--model-file", "net.py",
                   "-r", "requirements.txt", "-c", "model-config.yaml"],
    "prefixes": ["--hand", "handler.py", "--serialized", "weights.safetensors", "--model-f",
                 "net.py", "--extra", "a.json", "--run", "python3"],
    "a list": [*BARE, "--extra-files", "a.json,dir,b.json"],
    "a comma at the end": [*BARE, "--extra-files", "a.json,"],
    "a folder": [*BARE, "--extra-files", "dir"],
    "a folder with a slash": [*BARE, "--extra-files", "dir/"],
    "a pattern": [*BARE, "--extra-files", "*.json"],
    "a pattern of one letter": [*BARE, "--extra-files", "?.json"],
    "a pattern of some letters": [*BARE, "--extra-files", "[ab].json"],
    "a pattern for folders": [*BARE, "--extra-files", "dir/*"],
    "a pattern that matches nothing": [*BARE, "--extra-files", "*.none"],
    "a path with spaces": [*BARE, "--extra-files", "a folder/of mine.txt"],
    "a C++ handler": ["--handler", "libx:Handler", "--runtime", "LSP"],
    "nothing deflated": [*BARE, "--archive-format", "zip-store", "--extra-files", "dir"],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = model_folder(tmp_path_factory.mktemp("both"))
    for name, text in {
        "sub/h.py": f"{HANDLER}def predict(data, context):\n    return data\n",
        "dir/a.txt": "a", "dir/s/b.txt": "b", "dir/.hidden/c.txt": "c", "dir/.dot": "d",
        "a folder/of mine.txt": "e", "a.json": "{}", "b.json": "[]", "libx.so": "elf",
        "libx.dylib": "macho",
    }.items():  # fmt: skip
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def content(path):
    with zipfile.ZipFile(path) as packed:
        told = json.loads(packed.read(MANIFEST))
        members = {name: packed.read(name) for name in packed.namelist() if name != MANIFEST}
        return members, told["model"], told["runtime"]


def by_the_real_one(words, target):
    staging = target / "staging"  # it deletes and makes TMPDIR/m, whoever else is at work there
    staging.mkdir()
    subprocess.run(
        [sys.executable, "-m", "model_archiver.model_packaging", *words, "--export-path", target],
        env={**os.environ, "PYTHONPATH": str(REAL), "TMPDIR": str(staging)},
        check=True, capture_output=True,
    )  # fmt: skip
    return content(target / "m.mar")


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_the_same_members_and_the_same_manifest(words, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    words = ["--model-name", "m", "-v", "1.0", *words]
    theirs = by_the_real_one(words, tmp_path)
    mar_here("archive", *words, "--export-path", tmp_path, "-f")
    assert content(tmp_path / "m.mar") == theirs
