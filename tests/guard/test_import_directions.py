"""Imports point downwards, heavy libraries wait, and what we ship uses only what is public."""

from __future__ import annotations

import graphlib
import re
from typing import TYPE_CHECKING

import pytest
import tree

import mar_core

if TYPE_CHECKING:
    from pathlib import Path

# From the ground up. A module may import what stands below it, and itself.
ROOMS = (
    ("mar_core.errors", "mar_core.records"),
    ("mar_core.text",),
    ("mar_core.deprecations", "mar_core.findings"),
    ("mar_core.hookspecs",),
    ("mar_core.plugins",),
    ("mar_core.format",),
    ("mar_core.cache",),
    ("mar_core.weights",),
    ("mar_core.ts",),
    ("mar_core.handlers",),
    ("mar_core.signature",),
    ("mar_core.checks",),
    ("mar_core.build",),
    ("mar_core.runtime",),
    ("mar_core.run",),
    ("mar_core.reports",),
    ("mar_core.testing", "mar_core.scaffold"),
    ("mar_core.cli",),
    ("mar_core.__main__",),
)
# Where the public names stand that `from mar_core import NAME` gives.
PUBLIC = {f"mar_core.{name}": home for home, names in mar_core._HOME.items() for name in names}
HEAVY = {
    "PIL", "captum", "cookiecutter", "fsspec", "numpy", "pyarrow", "ray", "rich", "safetensors",
    "tokenizers", "torch", "torchvision", "yaml",
}  # fmt: skip


def storey(module: str) -> tuple[int, str]:
    """The storey of a module, and the room there that it belongs to."""
    rooms = [
        (len(room), level, room)
        for level, rooms in enumerate(ROOMS)
        for room in rooms
        if module == room or module.startswith(f"{room}.")
    ]
    assert rooms, f"{module} stands in no room of tests/guard/test_import_directions.py"
    _, level, room = max(rooms)
    return level, room


@pytest.mark.parametrize("path", tree.sources("mar_core"), ids=tree.module_name)
def test_imports_point_downwards(path):
    module = tree.module_name(path)
    if module == "mar_core":
        return
    level, room = storey(module)
    for line, name in tree.imports(path, inside_functions=True):
        if not name.startswith("mar_core.") or name == "mar_core.__version__":
            continue
        below, other = storey(PUBLIC.get(name, name))
        assert below < level or other == room, f"{path}:{line}: {room} imports {other}"


@pytest.mark.parametrize("path", tree.sources("mar_core"), ids=tree.module_name)
def test_heavy_libraries_are_imported_inside_functions(path):
    found = [
        f"{path}:{line}: {name}"
        for line, name in tree.imports(path, inside_functions=False)
        if name.partition(".")[0] in HEAVY
    ]
    assert not found


@pytest.mark.parametrize(
    "path", [*tree.sources("builtin_handlers"), *tree.plugin_sources()], ids=str
)
def test_what_we_ship_uses_only_public_names(path):
    public = {f"mar_core.{name}" for name in mar_core.__all__}
    for line, name in tree.imports(path, inside_functions=True):
        if name.partition(".")[0] == "mar_core":
            fine = name in public or name.startswith("mar_core.testing") or name == "mar_core"
            assert fine, f"{path}:{line}: {name} is not public"


@pytest.mark.parametrize("types", [False, True], ids=["run time", "types"])
def test_no_imports_go_in_a_circle(types):
    """What needs each other is one module, or needs what stands below both."""
    paths = [*tree.sources("mar_core", "builtin_handlers"), *tree.plugin_sources()]
    modules = {tree.module_name(path): path for path in paths}
    del modules["mar_core"]  # the table of public names
    passed_on = {name: home for path in paths for name, home in tree.passed_on(path)}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        found = tree.all_imports(path) if types else tree.imports(path, inside_functions=True)
        own = {home for name, home in passed_on.items() if name.rpartition(".")[0] == module}
        names = {passed_on.get(name, name) for _, name in found} - own
        graph[module] = {home_of(name, modules) for name in names} - {module, None}
    assert sum(map(len, graph.values())) > len(graph), "the graph has next to no edges"
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def home_of(name: str, modules: dict[str, Path]) -> str | None:
    """The module that an imported name is in, or is; None where it is none of ours."""
    module = name.rpartition(".")[0]
    return PUBLIC.get(name) or next((one for one in (name, module) if one in modules), None)


def test_the_page_of_the_architecture_names_what_is_there():
    page = (tree.ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+(?:\.py)?)/?`", page))
    places = [tree.ROOT / "mar_core", tree.ROOT]
    gone = [
        name
        for name in named
        if not any((place / f"{name}{end}").exists() for place in places for end in ("", ".py"))
    ]
    assert len(named) > 20
    assert not gone


def test_the_page_of_the_architecture_has_every_room():
    page = (tree.ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    section = page.partition("## The rooms of mar_core")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    told = [set(re.findall(r"`([\w.]+)`", row)) for row in rows]
    assert told == [{room.removeprefix("mar_core.") for room in rooms} for rooms in ROOMS]
