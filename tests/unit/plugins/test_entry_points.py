"""Who offers what, from metadata alone."""

from __future__ import annotations

import importlib_metadata
import pytest

from mar_core.errors import PluginError
from mar_core.plugins import (
    HANDLER_GROUP,
    PLUGIN_GROUP,
    find_entries,
    find_handler,
    nearest_handlers,
    unreadable_distributions,
)


def test_one_distribution(offer):
    offer("dist-one", handlers={"echo": "one:Echo"})
    found = find_handler("echo")
    assert found is not None
    assert (found.distribution, found.version, found.target) == ("dist-one", "1.0", "one:Echo")
    assert find_handler("ech") is None
    assert nearest_handlers("eccho") == ["echo"]


def test_two_distributions_of_one_handler_are_an_error_that_names_both(offer):
    offer("dist-one", handlers={"echo": "one:Echo"})
    offer("dist-two", handlers={"echo": "two:Echo"})
    with pytest.raises(PluginError, match=r"dist-one 1\.0 and dist-two 1\.0") as caught:
        find_handler("echo")
    assert caught.value.hint == "None of them is used; uninstall all but one."


def test_the_one_that_an_archive_records_is_taken(offer):
    offer("dist-one", handlers={"echo": "one:Echo"})
    offer("dist-two", handlers={"echo": "two:Echo"})
    found = find_handler("echo", distribution="dist-two")
    assert found is not None
    assert found.target == "two:Echo"
    with pytest.raises(PluginError, match="'echo' is offered by"):
        find_handler("echo", distribution="dist-three")


def test_names_that_come_with_mar_stay(offer):
    offer("dist-thief", handlers={"image_classifier": "thief:Mine"})
    found = find_handler("image_classifier")
    assert found is not None
    assert found.is_ours
    taken = find_handler("image_classifier", distribution="dist-thief")
    assert taken is not None
    assert taken.distribution == "dist-thief"


def test_a_torn_distribution_hides_nobody(offer):
    offer("dist-torn", handlers={"torn": "torn:Torn"}, torn=True)
    offer("dist-one", plugins={"one": "one"})
    assert [name for name, _ in unreadable_distributions()] == ["dist-torn 1.0"]
    assert "one" in {entry.name for entry in find_entries(PLUGIN_GROUP)}


def test_what_a_distribution_says_of_itself(tmp_path, monkeypatch):
    """Its fields are read as email's parser reads them, which importlib_metadata asks."""
    info = tmp_path / "dist_odd-2.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[mar.plugins]\nodd = odd\n")
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nNAME: dist-odd\nVersion:2.0\nLicense: several\n"
        "  Name: lines\nRequires-Dist: mar-core (>=0.1)\nRequires-Dist: numpy\n\nName: no field\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (entry,) = (entry for entry in find_entries(PLUGIN_GROUP) if entry.name == "odd")
    message = importlib_metadata.metadata("dist-odd")
    assert (entry.distribution, entry.version) == (message["Name"], message["Version"])
    assert entry.requires == (message.get_all("Requires-Dist")[0],)


def test_what_is_installed_is_looked_at_once(offer, monkeypatch):
    offer("dist-one", handlers={"echo": "one:Echo"})
    looks = []
    real = importlib_metadata.distributions

    def counted(**where):
        looks.append(1)
        return real(**where)

    monkeypatch.setattr(importlib_metadata, "distributions", counted)
    for _ in range(3):
        find_entries(PLUGIN_GROUP)
        find_entries(HANDLER_GROUP)
        list(unreadable_distributions())
        find_handler("echo")
        nearest_handlers("eko")
    assert len(looks) == 1


def test_only_a_plugin_can_be_switched_off(offer):
    offer("dist-one", handlers={"echo": "absent_echo:Echo"}, plugins={"one": "absent_one"})
    handler = find_handler("echo")
    assert handler is not None
    with pytest.raises(PluginError) as caught:
        handler.load()
    assert caught.value.hint == "Upgrade it or remove it: `pip uninstall dist-one`."
    (plugin,) = (entry for entry in find_entries(PLUGIN_GROUP) if entry.name == "one")
    with pytest.raises(PluginError, match="MAR_DISABLED_PLUGINS=one"):
        plugin.load()
