"""Numbers go in at the command line, and the model's values come out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mar_core.testing import make_archive

from network import Network

HANDLER = "{{ cookiecutter.handler_name }}"
PROJECT = "{{ cookiecutter.project_name }}"


def mar(*words: str | Path) -> str:
    command = [sys.executable, "-m", "mar_core", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_mar_run_uses_it(tmp_path: Path) -> None:
    archive = make_archive(tmp_path, handler=HANDLER, model=Network())
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"data": [1, 2, 3]}\n{"data": [4, 5, 6]}\n')
    lines = mar("run", archive, rows, "--json").splitlines()
    assert [json.loads(line)["result"]["values"] for line in lines] == [[3.0, 5.0], [9.0, 11.0]]


def test_mar_plugins_lists_it() -> None:
    entries = json.loads(mar("plugins", "--json"))
    (entry,) = [entry for entry in entries if entry["name"] == HANDLER]
    assert (entry["distribution"], entry["state"]) == (PROJECT, "available")
