"""Environments in the cache: made once, whole or not at all, whoever is killed meanwhile."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from cacheplace import let_go, own_cache

from mar_core import ArchiveError
from mar_core.cache import entries as cache
from mar_core.cache.entry import NOTE
from mar_core.cache.environments import VENV, environment, install, python_of, site_packages_of

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


def test_who_waits_says_so_and_what_others_use_is_not_made_anew(place, elsewhere, caplog):
    caplog.set_level(logging.INFO, "mar_core.environments")
    first = elsewhere()
    assert first.stdout.readline() == "making\n"
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(environment, ["key"], name="m", source="m.mar", fill=empty)
        while not caplog.messages:
            assert not waiting.done()
        first.stdin.write("\n")
        first.stdin.flush()
        made = waiting.result()
    assert caplog.messages == ["Another mar is making the environment of m; waiting for it."]
    python_of(made).unlink()
    with pytest.raises(ArchiveError, match=r"is damaged, and somebody uses it.*mar cache --clear"):
        environment(["key"], name="m", source="m.mar", fill=empty)


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


def stand_in(folder):
    python = python_of(folder / VENV)
    python.parent.mkdir(parents=True)
    python.write_text("")
    python.chmod(0o700)


def test_it_depends_on_the_python_and_the_machine(place, monkeypatch):
    def made():
        return environment(["key"], name="m", source="m.mar", fill=stand_in)

    found = [made(), made()]
    assert len(set(found)) == 1
    other = SimpleNamespace(cache_tag="pypy311")
    for name, value in (
        ("sys.implementation", other),
        ("sys.base_prefix", "/opt/python"),
        ("platform.python_version", lambda: "3.99.0"),
        ("platform.libc_ver", lambda: ("musl", "1.2")),
        ("sysconfig.get_platform", lambda: "linux-riscv64"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(name, value)
            found.append(made())
    assert len(set(found)) == len(found) - 1


@pytest.mark.parametrize("gone", ["python", "note"])
def test_one_whose_python_or_note_is_gone_is_made_again(place, gone):
    made = environment(["key"], name="m", source="m.mar", fill=empty)
    (python_of(made) if gone == "python" else made.parent / NOTE).unlink()
    let_go()
    assert environment(["key"], name="m", source="m.mar", fill=empty) == made
    assert python_of(made).exists()
    assert (made.parent / NOTE).exists()
    assert environment(["other"], name="m", source="m.mar", fill=empty) != made
