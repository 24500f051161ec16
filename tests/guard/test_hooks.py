"""Every hook is specified, documented, tested and really used; nothing else is."""

from __future__ import annotations

import ast
import inspect

import hooks_page
import pytest
import tree

from mar_core import hookspecs
from mar_core.plugins import Plugins, hook_names, load_plugins, new_manager
from mar_core.ts.adapter import HandlerAdapter

HOOKS = hook_names()
TESTS = [node for path in tree.sources("tests/hooks") for node in ast.walk(tree.parsed(path))]
SOURCES = [*tree.sources("mar_core", "builtin_handlers"), *tree.plugin_sources()]
KINDS = ("first result", "each on its own", "observing")


@pytest.fixture(scope="module")
def first_party():
    """What ships with the repository, loaded as an installed environment loads it."""
    ours = {"mar-core"} | {path.parent.name for path in tree.ROOT.glob("plugins/*/pyproject.toml")}
    loaded = load_plugins()
    assert not [f for f in loaded.failures if f.entry.distribution in ours]
    return loaded, {entry.name for entry in loaded.loaded if entry.distribution in ours}


def test_the_page_is_made_of_the_specification():
    written = hooks_page.PAGE.read_text(encoding="utf-8")
    assert written == hooks_page.page(), "run `python tests/support/hooks_page.py`"


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_says_how_it_is_called(hook):
    text = inspect.getdoc(hookspecs.HOOKS[hook])
    options = hookspecs.HOOKS[hook].mar_spec
    lower = text.lower()
    assert sum(kind in lower for kind in KINDS) == 1, "say one of " + ", ".join(KINDS)
    assert options["firstresult"] == ("first result" in lower)
    assert options["firstresult"] == (hook not in hookspecs.EACH_HOOKS)
    assert "Args:" in text
    assert "Example:" in text
    assert "Called" in text


@pytest.mark.parametrize("hook", HOOKS)
def test_each_example_would_be_taken(hook):
    """The page's example of a hook is a plugin that registers."""
    text = inspect.getdoc(hookspecs.HOOKS[hook]).partition("Example:")[2]
    code = "\n".join(line.strip()[4:] for line in text.strip().splitlines())
    namespace = {"hookimpl": hookspecs.hookimpl}
    exec(compile(code, hook, "exec"), namespace)  # noqa: S102 - the example is ours
    plugin = type("Example", (), {hook: staticmethod(namespace[hook])})()
    Plugins(new_manager()).register(plugin, "example")


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_its_test(hook):
    names = {node.name for node in TESTS if isinstance(node, ast.FunctionDef)}
    assert any(name.startswith(f"test_hook_{hook}") for name in names)


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_a_real_user(hook, first_party):
    loaded, ours = first_party
    users = {i.plugin_name for i in getattr(loaded.manager.hook, hook).get_hookimpls()} & ours
    # A handler is a plugin while it runs: its adapter takes part in the life cycle.
    assert users or hasattr(HandlerAdapter, hook), f"no first-party plugin uses {hook}"


@pytest.mark.parametrize("path", SOURCES, ids=tree.module_name)
def test_no_hook_is_called_by_a_string(path):
    """A hook stands by its name in one typed function: what is misspelt there is seen."""
    listed = {id(child) for node in assigned_to_all(path) for child in ast.walk(node)}
    for node in ast.walk(tree.parsed(path)):
        if isinstance(node, ast.Constant) and id(node) not in listed:
            assert node.value not in HOOKS, f"{path}:{node.lineno}: {node.value}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr":
            looked_at = ast.unparse(node.args[0])
            assert not looked_at.endswith(".hook"), f"{path}:{node.lineno}: {ast.unparse(node)}"


def assigned_to_all(path):
    for node in tree.parsed(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield node.value


def test_no_test_is_for_a_hook_that_is_gone():
    names = {n.name for n in TESTS if isinstance(n, ast.FunctionDef)}
    stale = [
        name
        for name in names
        if name.startswith("test_hook_mar_")
        and not any(name.startswith(f"test_hook_{hook}") for hook in HOOKS)
    ]
    assert not stale
