"""What a worker needs in an environment of its own, and torch's one rule."""

from __future__ import annotations

from pathlib import Path

import pytest

import mar_core
from mar_core import ArchiveError
from mar_core.checks.lock import parse_lock
from mar_core.checks.requirements import version_of
from mar_core.runtime.environment import _from_here
from mar_core.runtime.interpreter import Interpreter
from mar_core.runtime.links import linked, same_release


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_mar_and_what_it_needs_are_linked_where_they_are_not_there():
    folder = linked({}, name="m")
    assert names(folder) >= {"mar_core", "builtin_handlers", "msgpack", "numpy", "torch", "PIL"}
    assert not names(folder) & {"rich", "typer", "pytest"}
    assert (folder / "mar_core").resolve() == Path(mar_core.__file__).parent.resolve()


def test_what_the_environment_has_wins():
    numpy = version_of("numpy")
    assert not names(linked({"numpy": numpy}, name="m")) & {"numpy"}
    # Of a pair that belongs together none is taken from here where one is there.
    found = names(linked({"torch": "2.6.0"}, name="m"))
    assert not found & {"torch", "torchvision", "triton"}
    assert "mar_core" in found


def test_versions_that_do_not_fit_are_a_sentence():
    with pytest.raises(
        ArchiveError, match=r"of m has numpy 1\.0, and a worker of mar needs numpy>"
    ):
        linked({"numpy": "1.0"}, name="m")
    with pytest.raises(ArchiveError, match=r"has mar-core 0\.0\.1, and this is"):
        linked({"mar-core": "0.0.1"}, name="m")
    with pytest.raises(ArchiveError, match=r"has sympy 0\.1, and torch, which comes from mar's"):
        linked({"sympy": "0.1"}, name="m")


def test_torch_comes_from_here_where_the_releases_are_the_same():
    end = '[tool.mar]\ntorch = ["sympy", "torch", "torchvision"]\n'
    head = 'lock-version = "1.0"\ncreated-by = "x"\npackages = []\n'
    lock = parse_lock((head + end).encode())
    here = {name: version_of(name) for name in ("torch", "torchvision")}
    public = {name: version.partition("+")[0] for name, version in here.items()}
    assert _from_here(lock, {**public, "x": "1"}) == {"sympy", "torch", "torchvision"}
    assert _from_here(lock, {"torch": public["torch"]}) == lock.for_torch
    assert _from_here(lock, {**public, "torchvision": "0.0.1"}) == set()
    assert _from_here(lock, {"x": "1"}) == set()


def test_a_local_label_makes_no_other_release():
    assert same_release("2.9.0+cpu", "2.9.0")
    assert not same_release("2.9.1", "2.9.0")
    assert not same_release(None, "2.9.0")
    assert not same_release("what", "2.9.0")


def test_nothing_leads_to_another_environment(tmp_path):
    here = Interpreter(
        folder=tmp_path, executable=tmp_path / "bin" / "python", links=tmp_path / "links"
    )
    found = here.variables({"PATH": "/bin", "PYTHONPATH": "/mine", "PYTHONHOME": "/x", "A": "1"})
    assert found == {
        "PATH": f"{tmp_path / 'bin'}:/bin",
        "PYTHONPATH": str(tmp_path / "links"),
        "VIRTUAL_ENV": str(tmp_path),
        "A": "1",
    }
