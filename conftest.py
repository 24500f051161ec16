"""What holds for every test: no trace outside the test's own folders."""

from __future__ import annotations

import compileall
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent
CACHE = "MAR_CACHE_DIR"
# pytest's own, PyTorch's own, and what compiled packages are told for as long as they live.
CHANGING = {"PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR", "AOTI_RUNTIME_CHECK_INPUTS"}
# Machines differ in speed, and a test that fails must fail again.
settings.register_profile("mar", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("mar")


def pytest_configure(config):
    """Give the run a cache of its own; the processes of a distributed run share it."""
    if not hasattr(config, "workerinput"):
        os.environ[CACHE] = config.cache_of_mar = tempfile.mkdtemp(prefix="mar-tests-")
        if sys.dont_write_bytecode:
            _compile()


def pytest_unconfigure(config):
    """Clear it away."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(config.cache_of_mar, ignore_errors=True)


def _compile():
    """Compile mar once, where each of the many processes of the tests would do so for itself."""
    for folder in ("mar_core", "builtin_handlers", "plugins"):
        compileall.compile_dir(ROOT / folder, quiet=2, rx=re.compile("/tests/"))


@pytest.fixture(autouse=True)
def _the_process_is_left_as_it_was():
    """Fail a test that leaves another folder or environment behind."""
    folder, environment = Path.cwd(), _environment()
    yield
    assert Path.cwd() == folder
    assert _environment() == environment


def _environment():
    return {name: value for name, value in os.environ.items() if name not in CHANGING}
