"""Hugging Face's hub is not asked, and comes back."""

from __future__ import annotations

import os
import sys
import types

import pytest

from mar_core import hub_offline, keep_hub_offline

MODULE = "huggingface_hub.constants"


@pytest.fixture(params=["imported", "not imported"])
def constants(request, monkeypatch):
    found = types.SimpleNamespace(HF_HUB_OFFLINE=False)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    if request.param == "imported":
        monkeypatch.setitem(sys.modules, MODULE, found)
    return found if request.param == "imported" else None


def state(constants):
    return os.environ.get("HF_HUB_OFFLINE"), constants and constants.HF_HUB_OFFLINE


def load(constants):
    with hub_offline():
        assert state(constants) == ("1", constants and True)
        raise ValueError("damaged")


@pytest.mark.parametrize("before", [None, "0"])
def test_the_hub_comes_back_also_after_an_error(constants, before, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if before is not None:
        monkeypatch.setenv("HF_HUB_OFFLINE", before)
    found = state(constants)
    with pytest.raises(ValueError, match="damaged"):
        load(constants)
    assert state(constants) == found


def test_what_is_imported_inside_comes_back_too(monkeypatch):
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with hub_offline():
        inside = types.SimpleNamespace(HF_HUB_OFFLINE=True)  # as it reads the variable
        monkeypatch.setitem(sys.modules, MODULE, inside)
    assert inside.HF_HUB_OFFLINE is False


def test_offline_for_good(constants, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    keep_hub_offline()
    with hub_offline():
        pass
    assert state(constants) == ("1", constants and True)
