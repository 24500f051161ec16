"""Archives that need one small package in two versions, and uv that knows of nothing else."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import wheels

from mar_core import Input, LocalWorkers, Recipe, RunOptions
from mar_core.testing import make_archive

if TYPE_CHECKING:
    from pathlib import Path

HANDLER = """
import os, subprocess, sys
import pebble

def handle(data, context):
    if data is None:
        return None
    told = subprocess.run(["python", "-c", "import pebble; print(pebble.VERSION)"],
                          capture_output=True, text=True).stdout.strip()
    try:
        import rich
    except ImportError:
        rich = None
    return [[pebble.VERSION, told, rich is None, sys.prefix] for _ in data]
"""


@dataclass
class Place:
    """Where everything is.

    Attributes:
        folder: A folder to work in.
        wheels: What there is to install.
        variables: What processes have in their environment.
    """

    folder: Path
    wheels: Path
    variables: dict[str, str]

    def archive(self, name: str, *lines: str, **flags: Any) -> Path:
        """An archive with requirements."""
        if lines:
            requirements = self.folder / f"{name}.txt"
            requirements.write_text("".join(f"{line}\n" for line in lines))
            flags["requirements_file"] = requirements
        flags.setdefault("handler", self.folder / "handler.py")
        return make_archive(self.folder, model_name=name, force=True, **flags)

    def answer(self, source: Any, **recipe: Any) -> Any:
        """What its handler answers in a worker."""
        workers = LocalWorkers(Recipe(source=source, **recipe), RunOptions())
        try:
            (outcome,) = workers.run([Input(id="one", read=lambda: {"data": 1})])
        finally:
            workers.close()
        assert outcome.failure is None, outcome.failure
        return outcome.result


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environments")
    (folder / "wheels").mkdir()
    for version in ("1.0", "2.0"):
        wheels.wheel(folder / "wheels", "pebble", version)
    wheels.wheel(folder / "wheels", "boulder", "1.0", requires=("pebble<2",))
    (folder / "handler.py").write_text(HANDLER)
    variables = wheels.alone(folder / "wheels", cache=folder / "uv")
    variables["MAR_CACHE_DIR"] = str(folder / "cache")
    return Place(folder, folder / "wheels", variables)


@pytest.fixture
def told():
    """What is said of environments."""
    said = []
    logger = logging.getLogger("mar_core.environments")
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield said
    logger.setLevel(before)
    logger.removeHandler(handler)


@pytest.fixture
def place(made, monkeypatch):
    """The same, with its environment in this process too."""
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MAR_ENV", raising=False)
    assert "UV_OFFLINE" not in os.environ
    return made
