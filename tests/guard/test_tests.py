"""The tests' folders are the rooms: whoever changes a room finds its tests."""

from __future__ import annotations

import pytest
import tree

UNIT = tree.ROOT / "tests" / "unit"


@pytest.mark.parametrize("folder", [p for p in UNIT.rglob("*") if p.is_dir()], ids=str)
def test_each_folder_of_unit_tests_is_a_room(folder):
    if folder.name == "__pycache__":
        return
    inside = folder.relative_to(UNIT)
    rooms = (tree.ROOT / "mar_core" / inside, tree.ROOT / inside)
    assert any(room.is_dir() for room in rooms), f"{inside} is no room of mar_core"


@pytest.mark.parametrize("path", sorted(UNIT.glob("test_*.py")), ids=str)
def test_each_test_beside_them_is_of_a_module(path):
    module = path.name.removeprefix("test_")
    assert (tree.ROOT / "mar_core" / module).is_file(), f"{path} belongs into a room's folder"
