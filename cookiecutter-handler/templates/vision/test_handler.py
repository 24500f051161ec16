"""A picture goes in at the command line, and its class comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mar_core.testing import make_archive
from PIL import Image

from network import Network

HANDLER = "{{ cookiecutter.handler_name }}"
PROJECT = "{{ cookiecutter.project_name }}"

NAMES = '{"0": "red", "1": "green", "2": "blue"}'


def mar(*words: str | Path) -> str:
    command = [sys.executable, "-m", "mar_core", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_mar_run_uses_it(tmp_path: Path) -> None:
    archive = make_archive(
        tmp_path,
        handler=HANDLER,
        model=Network(),
        files={"index_to_name.json": NAMES},
    )
    picture = tmp_path / "sky.png"
    Image.new("RGB", (64, 48), "blue").save(picture)
    row = json.loads(mar("run", archive, picture, "--json"))
    assert row["result"]["class"] == "blue"
    assert 0.5 < row["result"]["probability"] < 0.6


def test_mar_plugins_lists_it() -> None:
    entries = json.loads(mar("plugins", "--json"))
    (entry,) = [entry for entry in entries if entry["name"] == HANDLER]
    assert (entry["distribution"], entry["state"]) == (PROJECT, "available")
