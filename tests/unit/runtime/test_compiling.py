"""Where a worker's compiler keeps its files: in the cache, unless the user says otherwise."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from mar_core.runtime.compiling import VARIABLE, keep_compiled

USUAL = str(Path(tempfile.gettempdir(), "torchinductor_somebody"))


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Asks for a model's place in an environment, and says what the compiler's variable is then."""
    monkeypatch.setenv("MAR_CACHE_DIR", str(tmp_path / "cache"))

    def ask(said, *, device="cpu", **config):
        monkeypatch.setenv(VARIABLE, said or "")
        if said is None:
            monkeypatch.delenv(VARIABLE)
        prepared = SimpleNamespace(config=config, digest="d", name="m")
        found = keep_compiled(prepared, device)
        if found is not None:
            found.close()
        return os.environ.get(VARIABLE)

    return ask


@pytest.mark.parametrize("said", [None, "", USUAL])
def test_in_the_cache(kept, tmp_path, said):
    assert kept(said, pt2="inductor").startswith(str(tmp_path / "cache"))


def test_where_the_user_says(kept, tmp_path):
    assert kept(str(tmp_path / "mine"), pt2="inductor") == str(tmp_path / "mine")


@pytest.mark.parametrize("config", [{}, {"pt2": {"compile": {"enable": False}}}, {"pt2": 3}])
def test_nowhere_where_nothing_is_compiled(kept, config):
    assert kept(None, **config) is None


def test_without_a_place_the_compiler_has_its_own(kept, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAR_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert kept(None, pt2="inductor") is None
    assert kept(None, device="no such device", pt2="inductor") is None
