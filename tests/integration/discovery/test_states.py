"""``mar plugins`` to the eye, strictness for each failure, and commands that help to recover."""

from __future__ import annotations

import json

import pytest

# Which plugin fails in which way, and what is said about it when it is loaded.
FAILURES = {
    "boom": "cannot be imported: ImportError: libboom.so is missing",
    "lacks": "provides the module 'a_package_that_is_not_there'",
    "exits": "it calls sys.exit(3)",
    "misspelt": "There is no hook mar_validate_archiv. Did you mean mar_validate_archive?",
    "wrong": "takes the argument 'arch', which mar_validate_archive does not have",
    "bare": "mar_validate_archive is not marked with @hookimpl",
    "future": "needs mar-core >=99, and this is mar-core",
    "twin": "is offered by dist-twin-one 1.0 and dist-twin-two 1.0",
}


def rows(output):
    """The table's states by name and distribution."""
    lines = output.splitlines()
    columns = lines[0].split()
    assert columns[:3] == ["name", "kind", "distribution"]
    cells = [row for row in map(str.split, lines[1:]) if len(row) == len(columns)]
    return {(row[0], row[2]): row[columns.index("state")] for row in cells}


def test_the_table_shows_what_metadata_tells(zoo):
    done = zoo.mar("plugins", MAR_DISABLED_PLUGINS="noisy")
    assert (done.returncode, done.stderr) == (0, "")
    states = rows(done.stdout)
    assert states["good", "dist-good"] == "available"
    assert states["boom", "dist-boom"] == "available"
    assert states["future", "dist-future"] == states["tomorrow", "dist-tomorrow"] == "broken"
    assert states["twin", "dist-twin-one"] == states["echo", "dist-echo-two"] == "clash"
    assert states["noisy", "dist-noisy"] == "blocked"
    assert "future: The plugin future (dist-future 1.0) needs mar-core >=99" in done.stdout
    assert "noisy: MAR_DISABLED_PLUGINS or --no-plugins switches it off." in done.stdout


@pytest.mark.parametrize("name", FAILURES)
def test_strictness_raises_what_else_is_a_warning(zoo, name):
    others = ",".join({*FAILURES, "noisy", "mar-rules"} - {name})
    done = zoo.mar("greet", MAR_STRICT_PLUGINS="1", MAR_DISABLED_PLUGINS=others)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mar: error: ")]
    assert FAILURES[name] in line
    assert "Traceback" not in done.stderr


def test_what_helps_to_recover_loads_no_plugin(zoo):
    for words in (["plugins"], ["plugins", "--json"], ["--version"], ["new", "--help"], ["cache"]):
        done = zoo.mar(*words, MAR_STRICT_PLUGINS="1")
        assert (done.returncode, done.stderr) == (0, ""), words


def test_the_doctor_says_each_reason_and_goes_on(zoo):
    done = zoo.mar("doctor", "--json")
    report = json.loads(done.stdout)
    assert "Traceback" not in done.stderr
    said = {check["name"]: check for check in report["plugins"]}
    assert (said["dist-good 1.0"]["state"], said["dist-good 1.0"]["message"]) == ("ok", "good")
    for name, words in FAILURES.items():
        assert said[f"plugin {name}"]["state"] == "warning"
        assert words in said[f"plugin {name}"]["message"]
    assert said["distribution dist-torn"]["state"] == "warning"
    assert said["handler echo"]["message"].startswith("clash: ")
    # Plugins that were left out keep nothing from running. A malformed entry_points.txt does:
    # PyTorch reads those of everything that is installed when it is imported.
    errors = [c for checks in report.values() if isinstance(checks, list) for c in checks
              if c["state"] == "error"]  # fmt: skip
    assert {error["name"] for error in errors} == {"torch", "torchvision"}
    assert all("`pip uninstall dist-torn`" in error["hint"] for error in errors)
    assert (done.returncode, report["fine"]) == (2, False)
