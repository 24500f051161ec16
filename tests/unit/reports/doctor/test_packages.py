"""Requirements against what is installed, from metadata alone."""

from __future__ import annotations

import importlib_metadata
import pytest

from mar_core.checks.requirements import unmet
from mar_core.reports.doctor.packages import EXTRAS, check_needed, check_optional
from mar_core.reports.doctor.report import State

PLUGGY = importlib_metadata.version("pluggy")


@pytest.mark.parametrize(
    ("requirement", "lacks"),
    [
        ("pluggy", []),
        (f"pluggy=={PLUGGY}", []),
        ("Pluggy>=1", []),
        ("pluggy>=99", [("pluggy", "pluggy>=99", f"{PLUGGY} is installed")]),
        ("no-such-thing~=1.0", [("no-such-thing", "no-such-thing~=1.0", "not installed")]),
        ("no-such-thing; python_version < '3'", []),
        ("absent; python_version > '3'", [("absent", "absent", "not installed")]),
        ("mar-core[parquet]", []),
    ],
)  # fmt: skip
def test_unmet(requirement, lacks):
    assert [(lack.package, lack.wanted, lack.why) for lack in unmet(requirement)] == lacks


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes a distribution that is nothing but metadata."""

    def make(name, *requires, extras=()):
        folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
        lines += [f"Provides-Extra: {extra}" for extra in extras]
        lines += [f"Requires-Dist: {line}" for line in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")

    monkeypatch.syspath_prepend(tmp_path)
    return make


def test_the_extras_of_a_requirement_are_followed(installed):
    installed(
        "dist-a",
        *("plain-absent", "absent-one; extra == 'all'", "dist-a[all]; extra == 'all'"),
        extras=["all"],
    )
    assert [lack.wanted for lack in unmet("dist-a[all]")] == ["absent-one"]
    assert list(unmet("dist-a")) == []


def test_what_an_uninstall_left_behind_is_not_installed(installed, tmp_path):
    installed("dist-ghost")
    (tmp_path / "dist_ghost-1.0.dist-info" / "METADATA").unlink()
    assert [lack.why for lack in unmet("dist-ghost")] == ["not installed"]


def test_needs_that_are_not_met_are_said_with_the_remedy(installed):
    installed("dist-b", "absent-two>=2", "pluggy")
    (check,) = check_needed("dist-b", state=State.WARNING)
    assert str(check) == (
        "dist-b: It needs absent-two>=2 (not installed). Install it: `pip install 'absent-two>=2'`."
    )
    assert list(check_needed("no-such-thing", state=State.WARNING)) == []


def test_every_extra_says_what_it_is_for():
    extras = importlib_metadata.metadata("mar-core").get_all("Provides-Extra")
    assert set(EXTRAS) == set(extras)
    names = [check.name for check in check_optional()]
    assert names == [f"mar-core[{extra}]" for extra in extras]
