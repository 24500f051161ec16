"""What an archive takes and gives, from its handler or its examples to where people look."""

from __future__ import annotations

import json

import pytest
from packs import mar

DECLARED = """
class Doubles:
    signature = {
        "inputs": [{"name": "data", "type": "int64", "description": "A number."}],
        "outputs": [{"name": "double", "type": "int64", "example": 4}],
    }

    def initialize(self, context): ...

    def handle(self, data, context):
        return [2 * row["data"] for row in data]
"""
PLAIN = DECLARED.replace("signature", "described")
INDEX = "MAR-INF/examples/examples.json"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "declared.py").write_text(DECLARED)
    (tmp_path / "plain.py").write_text(PLAIN)
    (tmp_path / "rows.jsonl").write_text('{"data": 1}\n{"data": 2.5}\n')
    return tmp_path


def archive(folder, handler, *words):
    flags = ("--model-name", "m", "--version", "1", "--handler", handler, "--force")
    mar("archive", *flags, *words, cwd=folder)
    return folder / "m.mar"


def inspected(folder):
    told = mar("inspect", "m.mar", cwd=folder).stdout
    lines = [line for line in told.splitlines() if line.startswith(("takes:", "gives:"))]
    return lines, json.loads(mar("inspect", "m.mar", "--json", cwd=folder).stdout)["signature"]


def test_a_declaration_is_kept_and_shown(folder):
    archive(folder, "declared.py")
    lines, signature = inspected(folder)
    assert lines == ["takes: data: int64", "gives: double: int64"]
    assert signature["origin"] == "handler"
    assert signature["outputs"] == [{"name": "double", "type": "int64", "example": 4}]
    mar("update", "m.mar", "--handler", "plain.py", cwd=folder)
    assert inspected(folder) == ([], None)
    mar("update", "m.mar", "--handler", "declared.py", "--quiet", cwd=folder)
    updated = (folder / "m.mar").read_bytes()
    assert updated == archive(folder, "declared.py").read_bytes()


def test_examples_say_it_where_no_handler_does(folder):
    archive(folder, "plain.py", "--example", "rows.jsonl")
    lines, signature = inspected(folder)
    seen = " (as its examples show)"
    assert lines == [f"takes: data: float64{seen}", f"gives: result: float64{seen}"]
    assert signature["inputs"] == [{"name": "data", "type": "float64", "example": 1}]
    (folder / "plain.py").write_text(PLAIN.replace("2 * row", "'x' * len(str(row") .replace(
        '["data"] for', '["data"])) for'
    ))  # fmt: skip
    mar("update", "m.mar", "--handler", "plain.py", cwd=folder)
    assert inspected(folder)[0] == lines
    mar("test", "m.mar", "--update", cwd=folder, code=None)
    assert inspected(folder)[0] == [lines[0], f"gives: result: string{seen}"]
    assert "1 of 1" in mar("test", "m.mar", cwd=folder).stdout
