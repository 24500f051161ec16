from __future__ import annotations

import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mar_core.plugins import host_version
from mar_core.plugins.entry_points import asked_of, contains

VERSIONS = ("0.1", "0.1.0", "0.1.5", "0.2", "0.2.0rc1", "0.2.dev3", "1.0+here", "1!0.1", "10.0")
SPECIFIERS = (
    ">=0.1,<0.2", "<0.2,>=0.1", "==0.1", "==0.1.*", ">0.1", "<=0.1.0.0", "~=0.1", "!=0.1.5",
    ">=0.2.dev1", "==1.0", "===1.0",
)  # fmt: skip


@pytest.mark.parametrize("asked", SPECIFIERS)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_understood_without_packaging_is_what_packaging_says(asked, version):
    expected = SpecifierSet(asked).contains(version, prereleases=True)
    assert contains(asked, version) is expected


@pytest.mark.parametrize(
    "requirement",
    [
        "mar-core<0.2,>=0.1",
        "mar-core[env]<0.2,>=0.1",
        "mar-core[env,gpu] >= 0.1",
        "mar_core (<0.2)",
        "Mar.Core~=0.1; python_version > '3'",
        "mar-core",
    ],
)
def test_a_requirement_of_ours_is_read_as_packaging_reads_it(requirement):
    assert SpecifierSet(asked_of([requirement])) == Requirement(requirement).specifier


@pytest.mark.parametrize("requirement", ["mar-core-extras>=99", "mar-serve<0.2", "grammar-core>1"])
def test_another_name_is_not_ours(requirement):
    assert not asked_of([requirement])


def test_what_only_an_extra_asks_and_what_is_malformed_asks_nothing():
    assert not asked_of(["mar-core>=99; extra == 'later'"])
    assert not asked_of(["mar-core>>1,,"])


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert host_version() == version("mar-core")


def test_to_load_every_plugin_imports_neither_packaging_nor_email():
    """The two take longer to import than all plugins of this repository together."""
    code = (
        "import sys\n"
        "from mar_core.plugins import get_plugins\n"
        "assert len(get_plugins().loaded) > 7\n"
        "print({'packaging', 'email.parser', 'torch', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.check_output([sys.executable, "-P", "-c", code], text=True)
    assert found.strip() == "set()"
