"""Sound archives of every format, changed at random: looking ends soon, and in sentences."""

from __future__ import annotations

import random

import fuzz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mar_core.plugins import get_plugins


@pytest.mark.parametrize("seed", fuzz.SEEDS)
@settings(max_examples=12, deadline=None)
@given(number=st.integers(0, 1 << 64), archive_format=st.sampled_from(fuzz.FORMATS))
def test_looking_at_a_mutant(tmp_path_factory, seed, number, archive_format):
    files = fuzz.mutant(random.Random(number), seed)
    folder = tmp_path_factory.mktemp("mutant")
    path = fuzz.write(folder, files, archive_format)
    with fuzz.limited():
        assert fuzz.problem(path, get_plugins()) is None


@pytest.mark.parametrize("archive_format", fuzz.FORMATS)
@pytest.mark.parametrize("seed", fuzz.SEEDS)
def test_what_is_changed_was_looked_at_before(tmp_path, seed, archive_format):
    path = fuzz.write(tmp_path, fuzz.seeds()[seed], archive_format)
    with fuzz.limited():
        assert fuzz.problem(path, get_plugins()) is None


def test_the_fuzzer_notices(tmp_path, monkeypatch):
    path = fuzz.write(tmp_path, fuzz.seeds()["texts"], "default")

    class Broken:
        def validate_archive(self, *_):
            yield "broken", ZeroDivisionError("by zero")

    assert "a plugin fails" in fuzz.problem(path, Broken())
    monkeypatch.setattr("mar_core.checks.checking.look_at", lambda *_, **__: 1 / 0)
    assert "ZeroDivisionError" in fuzz.problem(path, get_plugins())
