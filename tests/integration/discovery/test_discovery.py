"""Handlers and plugins are found, and a bad one harms nobody, with real distributions installed."""

from __future__ import annotations

import json

import pytest
from environments import Environment, distribution

REASONS = {
    "boom": ("broken", "dist-boom 1.0", "libboom.so is missing", "MAR_DISABLED_PLUGINS=boom"),
    "lacks": ("broken", "dist-lacks 1.0", "provides the module 'a_package_that_is_not_there'"),
    "exits": ("broken", "dist-exits 1.0", "sys.exit(3)"),
    "misspelt": ("broken", "dist-misspelt 1.0", "Did you mean mar_validate_archive?"),
    "wrong": ("broken", "dist-wrong 1.0", "'arch'", "It has archive, findings."),
    "bare": ("broken", "dist-bare 1.0", "not marked with @hookimpl"),
    "future": ("broken", "dist-future 1.0", "needs mar-core >=99"),
    "twin": ("clash", "dist-twin-one 1.0 and dist-twin-two 1.0"),
    "dist-torn": ("broken", "dist-torn 1.0", "malformed"),
}
TORCH_PROBE = """if 1:
    import sys
    from mar_core.cli import main
    try:
        main()
    finally:
        if "torch" in sys.modules:
            print("torch was imported", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def listed(zoo):
    done = zoo.mar("plugins", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def checked(zoo):
    done = zoo.mar("plugins", "--json", "--check")
    assert done.returncode == 1
    return json.loads(done.stdout)


def of(statuses, name):
    return [status for status in statuses if status["name"] == name]


def test_listing_imports_nothing_and_knows_each(listed):
    (shout,) = of(listed, "shout")
    assert shout == {
        "name": "shout",
        "kind": "handler",
        "distribution": "dist-shout",
        "version": "1.0",
        "target": "dist_shout:Shout",
        "state": "available",
        "reason": "",
        "provides": [],
        "seconds": None,
    }
    assert {status["state"] for status in of(listed, "boom")} == {"available"}


@pytest.mark.parametrize("name", REASONS)
def test_check_gives_each_its_reason(checked, name):
    state, *words = REASONS[name]
    for status in of(checked, name):
        assert status["state"] == state
        assert all(word in status["reason"] for word in words), status["reason"]
        assert "\n" not in status["reason"]


def test_check_loads_the_good_ones(checked):
    (good,) = of(checked, "good")
    assert good["state"] == "loaded"
    hooks = ["mar_register_commands", "mar_validate_archive"]
    assert good["provides"] == [*hooks, "command greet"]
    (shout,) = of(checked, "shout")
    assert (shout["state"], shout["provides"]) == ("loaded", ["class"])


@pytest.fixture(scope="module")
def greeted(zoo):
    return zoo.mar("greet", "--name", "Ada")


@pytest.mark.parametrize("name", REASONS)
def test_a_bad_plugin_is_one_line_of_warning(greeted, name):
    done = greeted
    assert done.returncode == 0
    assert done.stdout == "hello Ada\n"
    lines = done.stderr.splitlines()
    _, *words = REASONS[name]
    (line,) = [line for line in lines if all(word in line for word in words)]
    assert line.startswith("mar: warning: ")
    assert "Traceback" not in done.stderr


def test_help_lists_the_commands_of_plugins(zoo):
    lines = zoo.mar("--help").stdout.splitlines()
    assert [line for line in lines if line.split()[:1] == ["greet"]]


def test_usage_errors_of_a_plugins_command_are_mars(zoo):
    done = zoo.mar("greet", "--nam")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mar: error")]
    assert "--name" in line
    assert "greet --help`" in line


def test_a_plugins_command_is_among_the_near_ones(zoo):
    assert "Did you mean `mar greet`?" in zoo.mar("gret").stderr


def test_what_a_plugin_prints_stays_out_of_the_results(zoo):
    done = zoo.mar("greet")
    assert done.stdout == "hello you\n"
    assert "noise" in done.stderr


def test_names_that_come_with_mar_stay(zoo, listed):
    ours, thief = sorted(of(listed, "mar-rules"), key=lambda status: status["state"])
    assert (ours["distribution"], ours["state"]) == ("mar-core", "available")
    assert (thief["distribution"], thief["state"]) == ("dist-thief", "clash")
    done = zoo.run(
        "-c", "from mar_core.plugins import find_handler as f; print(f('image_classifier'))"
    )
    assert done.stdout.startswith("image_classifier (mar-core ")


def test_two_handlers_of_one_name_are_an_error_that_names_both(zoo):
    code = """if 1:
        from mar_core.errors import PluginError
        from mar_core.plugins import find_handler
        print(find_handler("echo", distribution="dist-echo-two"))
        try:
            find_handler("echo")
        except PluginError as error:
            print(error)
    """
    first, second = zoo.run("-c", code).stdout.splitlines()
    assert first == "echo (dist-echo-two 1.0)"
    assert "dist-echo-one 1.0 and dist-echo-two 1.0" in second


def test_a_library_user_gets_python_warnings(zoo):
    code = """if 1:
        import warnings
        from mar_core import PluginWarning
        from mar_core.plugins import get_plugins
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            get_plugins()
            get_plugins()
        print(len(caught), {warning.category is PluginWarning for warning in caught})
        print("good" in [entry.name for entry in get_plugins().loaded])
    """
    done = zoo.run("-c", code)
    count, kinds = done.stdout.splitlines()[0].split(" ", 1)
    assert int(count) >= len(REASONS)
    assert kinds == "{True}"
    assert done.stdout.splitlines()[1] == "True"


def test_disabled_plugins_are_not_imported(zoo):
    names = "boom, exits,lacks,misspelt,wrong,bare,future,twin,noisy"
    done = zoo.mar("greet", MAR_DISABLED_PLUGINS=names)
    assert done.stdout == "hello you\n"
    assert "noise" not in done.stderr
    assert "boom" not in done.stderr
    listed = json.loads(zoo.mar("plugins", "--json", MAR_DISABLED_PLUGINS=names).stdout)
    assert {status["state"] for name in ("boom", "twin") for status in of(listed, name)} == {
        "blocked"
    }


def test_no_plugins_leaves_those_of_mar(zoo):
    done = zoo.mar("--no-plugins", "greet")
    assert done.returncode == 2
    assert "no command 'greet'" in done.stderr
    assert "dist-boom" not in done.stderr
    listed = json.loads(zoo.mar("--no-plugins", "plugins", "--json").stdout)
    states = {(status["distribution"] == "mar-core", status["state"]) for status in listed}
    assert (True, "blocked") not in states
    assert of(listed, "good")[0]["state"] == "blocked"


def test_strict_stops_at_the_first_failure(zoo):
    done = zoo.mar("greet", MAR_STRICT_PLUGINS="1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "mar: error: The plugin bare (dist-bare 1.0) cannot be used" in done.stderr


def test_hook_shows_who_implements_it(zoo):
    uses = json.loads(zoo.mar("plugins", "--json", "--hook", "mar_validate_archive").stdout)
    assert uses[0]["plugin"] == "mar-rules"
    good = {
        "hook": "mar_validate_archive",
        "plugin": "good",
        "wrapper": False,
        "function": "dist_good:4",
    }
    assert good in uses


def test_an_unknown_hook_offers_the_nearest(zoo):
    done = zoo.mar("plugins", "--hook", "mar_validate")
    assert done.returncode == 2
    assert "mar_validate_archive" in done.stderr


def test_twenty_plugins_that_import_torch_cost_help_nothing(tmp_path):
    environment = Environment.create(tmp_path / "env")
    environment.install(
        *(
            distribution(
                tmp_path / "sources",
                f"dist-slow-{number}",
                files={
                    f"dist_slow_{number}.py": "import torch, sys\nprint('loaded', file=sys.stderr)"
                },
                plugins={f"slow-{number}": f"dist_slow_{number}"},
                handlers={f"slow_{number}": f"dist_slow_{number}:torch"},
            )
            for number in range(20)
        )
    )
    for words in (["--help"], ["--version"], ["plugins"], ["archive", "--help"]):
        done = environment.run("-c", TORCH_PROBE, *words)
        assert (done.returncode, done.stderr) == (0, ""), words
    # The probe notices: another command loads the plugins to look for it.
    assert "torch was imported" in environment.run("-c", TORCH_PROBE, "no-such-command").stderr


HOSTILE = {
    "a-pid": "import os\nprint('at', os.getpid())\nopen('a.pid', 'w').write(str(os.getpid()))",
    "b-segv": "import os\nos.kill(os.getpid(), 11)",
    "c-gone": "import os\nos._exit(0)",
    "d-forks": (
        "import os, sys, time\nif not os.fork():\n    time.sleep(20)\n    os._exit(0)\n"
        "sys.stderr.write('dead\\n'); sys.stderr.flush(); os._exit(7)"
    ),
    "e-vandal": "import sys\nsys.modules['wave'] = None",
    "f-victim": "import wave",
    "g-hangs": "import time\ntime.sleep(600)",
    "h-reads": "import sys\nassert sys.stdin.read() == ''",
    "i-pid": "import os\nopen('i.pid', 'w').write(str(os.getpid()))",
    "j-pid": "import os\nopen('j.pid', 'w').write(str(os.getpid()))",
}
CHECKING = """
import json, sys
from mar_core.plugins import listing
listing.CHECK_SECONDS = 5
found = listing.check_entries(listing.list_entries())
print(json.dumps([one.to_dict() for one in found]))
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """What a check says of plugins that do worse than fail, in a folder with an archive's files."""
    folder = tmp_path_factory.mktemp("hostile")
    environment = Environment.create(folder / "env")
    environment.install(
        *(
            distribution(
                folder / "sources",
                f"dist-{name}",
                files={f"dist_{name.replace('-', '_')}.py": text},
                plugins={name: f"dist_{name.replace('-', '_')}"},
            )
            for name, text in HOSTILE.items()
        )
    )
    work = folder / "work"
    work.mkdir()
    (work / "json.py").write_text("raise SystemExit('json.py of the folder was imported')")
    done = environment.run("-P", "-c", CHECKING, cwd=work)
    assert (done.returncode, done.stderr) == (0, "")
    return {status["name"]: status for status in json.loads(done.stdout)}, work


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("b-segv", "The process that imported it died of SIGSEGV."),
        ("c-gone", "The process that imported it exited with 0: it said nothing."),
        ("d-forks", "The process that imported it exited with 7: dead."),
        ("g-hangs", "It takes over 5 s to import."),
    ],
)
def test_a_plugin_that_ends_or_holds_the_process_breaks_only_its_check(hostile, name, reason):
    statuses, _ = hostile
    assert (statuses[name]["state"], statuses[name]["reason"]) == ("broken", reason)


def test_the_others_are_loaded_in_few_processes(hostile):
    statuses, work = hostile
    good = {name for name, status in statuses.items() if status["state"] == "loaded"}
    assert good >= {"a-pid", "e-vandal", "h-reads", "i-pid", "j-pid", "mar-rules", "base_handler"}
    assert (work / "i.pid").read_text() == (work / "j.pid").read_text()
    assert (work / "i.pid").read_text() != (work / "a.pid").read_text()


def test_what_fails_in_company_is_tried_alone(hostile):
    statuses, _ = hostile
    assert statuses["f-victim"]["state"] == "loaded"
