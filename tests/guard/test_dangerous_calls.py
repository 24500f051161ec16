"""Calls that have hurt others are not in the tree."""

from __future__ import annotations

import ast

import pytest
import tree

OURS = [*tree.sources("mar_core", "builtin_handlers"), *tree.plugin_sources()]
BANNED = {
    "extractall", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pickle.load", "pickle.loads",
    "eval", "os.system", "marshal.loads", "shelve.open",
}  # fmt: skip
# Whole pickled objects are loaded on the user's word alone: `--allow-pickle`.
UNSAFE_LOAD = {"builtin_handlers/vocabulary.py", "mar_core/weights/state_dict.py"}


@pytest.mark.parametrize("path", OURS, ids=str)
def test_no_dangerous_calls(path):
    for node in ast.walk(tree.parsed(path)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        assert name not in BANNED, f"{path}:{node.lineno}: {name}"
        assert name.rpartition(".")[2] != "extractall", f"{path}:{node.lineno}: {name}"
        assert not any(word.arg == "shell" for word in node.keywords), f"{path}:{node.lineno}"
        if name == "torch.load" and str(path.relative_to(tree.ROOT)) not in UNSAFE_LOAD:
            weights_only = [ast.unparse(w.value) for w in node.keywords if w.arg == "weights_only"]
            assert weights_only == ["True"], f"{path}:{node.lineno}: torch.load"
