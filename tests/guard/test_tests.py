"""The tests' folders are the rooms: whoever changes a room finds its tests."""

from __future__ import annotations

import subprocess
import sys

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


@pytest.mark.parametrize("named", ["mar_core/text.py", "mar_core.text.py.", ""])
def test_a_path_in_place_of_a_module_is_a_sentence(named):
    script = tree.ROOT / "tests" / "support" / "mutants.py"
    words = [sys.executable, script, named, "--", "tests/unit/test_text.py"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    sentence = f"{named!r} is no module; name it as an import does, such as mar_core.text.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)
