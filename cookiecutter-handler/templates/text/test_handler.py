"""A text goes in at the command line, and its class comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mar_core.testing import make_archive

from network import Network

HANDLER = "{{ cookiecutter.handler_name }}"
PROJECT = "{{ cookiecutter.project_name }}"

NAMES = '{"0": "letters", "1": "digits"}'


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
    text = tmp_path / "number.txt"
    text.write_text("0042")
    row = json.loads(mar("run", archive, text, "--json"))
    assert row["result"]["class"] == "digits"
    assert 0.7 < row["result"]["probability"] < 0.8


def test_mar_plugins_lists_it() -> None:
    entries = json.loads(mar("plugins", "--json"))
    (entry,) = [entry for entry in entries if entry["name"] == HANDLER]
    assert (entry["distribution"], entry["state"]) == (PROJECT, "available")
