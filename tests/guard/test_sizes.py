"""Files and functions stay small enough to be read at once."""

from __future__ import annotations

import ast

import pytest
import tree

FILE_LINES = 500
FUNCTION_LINES = 40
OURS = [*tree.sources("mar_core", "builtin_handlers"), *tree.plugin_sources()]


@pytest.mark.parametrize("path", OURS, ids=str)
def test_files_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES, f"{path} has {lines} lines"


@pytest.mark.parametrize("path", OURS, ids=str)
def test_functions_are_short(path):
    for node in ast.walk(tree.parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = code_lines(node)
            assert lines < FUNCTION_LINES, f"{path}:{node.lineno}: {node.name} has {lines} lines"


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's body; its signature and docstring document it and are free."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    if not body:
        return 0
    return (node.end_lineno or 0) - body[0].lineno + 1
