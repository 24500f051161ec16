"""A text goes in at the command line, and the count of its words comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mar_core.testing import make_archive

HANDLER = "{{ cookiecutter.handler_name }}"
PROJECT = "{{ cookiecutter.project_name }}"


def mar(*words: str | Path) -> str:
    command = [sys.executable, "-m", "mar_core", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_mar_run_uses_it(tmp_path: Path) -> None:
    archive = make_archive(tmp_path, handler=HANDLER)
    text = tmp_path / "note.txt"
    text.write_text("to be or not to be")
    row = json.loads(mar("run", archive, text, "--json"))
    assert row["result"] == {"words": 6, "characters": 18}


def test_mar_plugins_lists_it() -> None:
    entries = json.loads(mar("plugins", "--json"))
    (entry,) = [entry for entry in entries if entry["name"] == HANDLER]
    assert (entry["distribution"], entry["state"]) == (PROJECT, "available")
