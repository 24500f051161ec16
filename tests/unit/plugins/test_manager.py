"""What a plugin object must be to be taken."""

from __future__ import annotations

import types

import pytest

from mar_core import hookimpl
from mar_core.errors import PluginError
from mar_core.hookspecs import EACH_HOOKS
from mar_core.plugins import Plugins, hook_arguments, hook_names, new_manager


def plugin_of(source: str):
    module = types.ModuleType("made")
    exec(source, {"hookimpl": hookimpl, **vars(module)}, module.__dict__)  # noqa: S102 - ours
    return module


def refusal(plugin) -> str:
    plugins = Plugins(new_manager())
    with pytest.raises(PluginError) as caught:
        plugins.register(plugin, "made")
    assert plugins.manager.get_plugins() == set()
    return str(caught.value)


WRAPPER = "@hookimpl({option}=True)\ndef {hook}({arguments}):\n    return (yield)\n"


def wrapper(hook, option="wrapper"):
    arguments = ", ".join(hook_arguments(hook))
    return plugin_of(WRAPPER.format(hook=hook, option=option, arguments=arguments))


@pytest.mark.parametrize("hook", sorted(EACH_HOOKS))
def test_hooks_that_are_called_one_by_one_take_no_wrappers(hook):
    assert f"{hook} takes no wrappers." in refusal(wrapper(hook))
    assert f"{hook} takes no wrappers." in refusal(wrapper(hook, "hookwrapper"))


@pytest.mark.parametrize("hook", sorted(set(hook_names()) - EACH_HOOKS))
def test_the_others_do(hook):
    plugins = Plugins(new_manager())
    plugins.register(wrapper(hook), "made")
    assert getattr(plugins.manager.hook, hook).get_hookimpls()[0].wrapper


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("@hookimpl\ndef mar_validate(archive): ...", "Did you mean mar_validate_archive?"),
        ("@hookimpl\ndef mar_validate_archive(arch): ...", "It has archive, findings."),
        ("@hookimpl\ndef mar_validate_archive(archive=None): ...", "with no default"),
        ("@hookimpl\ndef mar_validate_archive(*, archive): ...", "must be plain"),
        ("def mar_validate_archive(archive): ...", "is not marked with @hookimpl"),
        ("@hookimpl(wrapper=True)\ndef mar_inference(data): ...", "does not yield"),
        ("@hookimpl(specname='mar_nothing')\ndef f(): ...", "There is no hook mar_nothing"),
    ],
)
def test_what_is_refused(source, words):
    assert words in refusal(plugin_of(source))


def test_a_class_is_no_plugin():
    class Made:
        pass

    assert "Made is a class." in refusal(Made)


def test_an_optional_hook_may_be_unknown():
    source = "@hookimpl(optionalhook=True)\ndef mar_of_tomorrow(x): ..."
    Plugins(new_manager()).register(plugin_of(source), "made")
