"""What will go announces itself, visibly and at the line of whoever uses it."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from packaging.version import Version

import mar_core
from mar_core import MarDeprecationWarning, MarWarning, deprecations, hookimpl
from mar_core.plugins import Plugins, new_manager

ALL = {
    name: value
    for name, value in vars(deprecations).items()
    if isinstance(value, deprecations.Deprecation)
}


class OldWrapper:
    @hookimpl(hookwrapper=True)
    def mar_inference(self):
        yield


def uses_old_wrapper():
    Plugins(new_manager()).register(OldWrapper(), "old")


USES = {"OLD_WRAPPER": uses_old_wrapper}


def test_each_deprecation_has_its_use_below():
    assert USES.keys() == ALL.keys()


@pytest.mark.parametrize("name", ALL)
def test_each_is_raised_and_says_what_to_do(name):
    what = ALL[name]
    with pytest.warns(MarDeprecationWarning) as caught:
        USES[name]()
    (warning,) = caught
    assert str(warning.message).startswith(f"{what.what} is deprecated since mar {what.since}")
    assert str(warning.message).endswith(what.instead)
    assert warning.filename == __file__


@pytest.mark.parametrize("name", ALL)
def test_none_is_overdue(name):
    assert Version(mar_core.__version__) < Version(ALL[name].removed_in)
    assert Version(ALL[name].since) <= Version(mar_core.__version__)


def test_it_is_visible_by_default():
    code = (
        "import warnings\nfrom mar_core.deprecations import OLD_WRAPPER\n"
        "warnings.warn(OLD_WRAPPER.warning)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "MarDeprecationWarning: @hookimpl(hookwrapper=True) is deprecated" in done.stderr


def test_a_hook_that_will_go_warns_at_the_plugins_own_line():
    import pluggy

    gone = deprecations.Deprecation(
        what="The hook mar_gone", since="0.1", removed_in="0.3", instead="Use none."
    )

    class Specs:
        @pluggy.HookspecMarker("mar")(warn_on_impl=gone.warning)
        def mar_gone(self):
            """Go."""

    class Plugin:
        @hookimpl
        def mar_gone(self):
            """Stay."""

    manager = pluggy.PluginManager("mar")
    manager.add_hookspecs(Specs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        manager.register(Plugin())
    assert [one.category for one in caught] == [MarDeprecationWarning]
    assert issubclass(MarDeprecationWarning, MarWarning)
    assert caught[0].filename == __file__
