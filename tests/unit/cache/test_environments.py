"""Environments in the cache: made once, whole or not at all, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from cacheplace import own_cache

from mar_core import ArchiveError
from mar_core.cache import entries as cache
from mar_core.cache.environments import environment, install, python_of, site_packages_of

CODE = """
import sys, time
from mar_core.cache.environments import environment, install

def fill(folder):
    print("making", flush=True)
    sys.stdin.readline()
    install(folder, [], name="m", allow_build=False, offline=True)

print(environment(["key"], name="m", source="m.mar", fill=fill), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    with own_cache(tmp_path, monkeypatch) as place:
        yield place


@pytest.fixture
def elsewhere():
    """Makes the environment in another process, which says so and waits for a line each time."""
    started = []

    def start():
        command = [sys.executable, "-c", CODE]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def empty(folder):
    install(folder, [], name="m", allow_build=False, offline=True)


def test_of_two_who_want_one_the_second_waits_and_makes_nothing(place, elsewhere):
    first = elsewhere()
    assert first.stdout.readline() == "making\n"
    second = elsewhere()
    first.stdin.write("\n")
    first.stdin.flush()
    folder = first.stdout.readline()
    assert second.stdout.readline() == folder
    assert python_of(place / folder.strip()).exists()
    (entry,) = cache.entries()
    assert (entry.kind, entry.name, entry.in_use) == ("environment", "m", True)
    assert cache.clear() == []  # both use it


def test_one_who_is_killed_leaves_nothing_that_counts(place, elsewhere):
    first = elsewhere()
    assert first.stdout.readline() == "making\n"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert cache.entries() == []
    made = environment(["key"], name="m", source="m.mar", fill=empty)
    assert [path.name for path in place.iterdir()] == [made.parent.name]
    assert [path.is_dir() for path in site_packages_of(made)] == [True]


def test_one_that_fails_leaves_nothing(place):
    def fail(folder):
        (folder / "half").write_text("")
        raise ArchiveError("no")

    with pytest.raises(ArchiveError, match="no"):
        environment(["key"], name="m", source="m.mar", fill=fail)
    assert list(place.iterdir()) == []


def test_one_whose_python_is_gone_is_made_again(place):
    made = environment(["key"], name="m", source="m.mar", fill=empty)
    python_of(made).unlink()
    test_held = cache._held.pop(made.parent)
    os.close(test_held)
    assert environment(["key"], name="m", source="m.mar", fill=empty) == made
    assert python_of(made).exists()
    assert environment(["other"], name="m", source="m.mar", fill=empty) != made
