"""uv is found, listened to, and its reasons end in what the user can do about them."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import shutil
import sys
from pathlib import Path

import pytest
import wheels

from mar_core.cache.environments import find_uv, uv
from mar_core.errors import PackagesError, UsageError

SYNC = ("pip", "sync", "--require-hashes", "--no-build", "--target", "there")
COMPILE = ("pip", "compile", "--offline")
ABSENT = "pebble @ https://me:secret@127.0.0.1:1/pebble-1.0-py3-none-any.whl"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a wheel and a source distribution, and uv that knows of nothing else."""
    monkeypatch.chdir(tmp_path)
    for name, value in wheels.alone(tmp_path, cache=tmp_path / "cache").items():
        monkeypatch.setenv(name, value)
    return tmp_path


def pinned(path, name):
    return f"{name} --hash=sha256:{wheels.digest(path)}"


@pytest.fixture
def without_its_package(monkeypatch):
    """A uv that was not installed by pip, but is on the path."""
    monkeypatch.setitem(sys.modules, "uv", None)
    return monkeypatch


def test_it_is_found_on_the_path(without_its_package, tmp_path):
    stand_in = tmp_path / "uv"
    shutil.copy(find_uv_of_the_package(), stand_in)
    without_its_package.setenv("PATH", str(tmp_path))
    assert find_uv() == str(stand_in)


def find_uv_of_the_package():
    scripts = importlib.metadata.distribution("uv").files or ()
    return next(file.locate() for file in scripts if Path(file).name == "uv")


def test_without_it_the_user_is_told_how_to_get_it(without_its_package, tmp_path):
    without_its_package.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"made by uv, which is not installed.*mar-core\[env\]"):
        find_uv()


def test_what_it_does_is_told_while_it_does_it(here, caplog):
    caplog.set_level(logging.INFO, "mar_core.environments")
    path = wheels.wheel(here, "pebble", "1.0")
    (here / "pins.txt").write_text(pinned(path, "pebble==1.0"))
    uv([*SYNC, "pins.txt"], doing="It cannot be made")
    assert (here / "there" / "pebble").is_dir()
    told = [message.partition(" in ")[0] for message in caplog.messages]
    assert told == ["uv: Prepared 1 package", "uv: Installed 1 package"]


def failure(words, text):
    Path("pins.txt").write_text(text)
    with pytest.raises(PackagesError) as caught:
        uv([*words, "pins.txt"], doing="It cannot be made")
    return caught.value


@pytest.mark.parametrize("text", ["nothing-like-it", ABSENT])
def test_offline_the_network_is_what_it_lacks(here, text):
    (here / "cache.toml").write_text("")  # folders are no network: here an index would be asked
    error = failure(COMPILE, text)
    assert str(error).startswith("It cannot be made offline: ")
    assert error.hint.startswith("Run it once without --offline")
    assert "secret" not in str(error)


def test_another_file_than_was_locked(here):
    wheels.wheel(here, "pebble", "1.0")
    error = failure(SYNC, f"pebble==1.0 --hash=sha256:{'0' * 64}")
    assert "Hash mismatch for `pebble==1.0`" in str(error)
    assert "it is not what was locked" in error.hint


@pytest.mark.parametrize("named", [True, False])
def test_what_would_have_to_be_built(here, named):
    path = wheels.sdist(here, "gravel", "1.0")
    error = failure(SYNC, pinned(path, "gravel==1.0" if named else f"gravel @ {path.as_uri()}"))
    assert "allow it with --allow-build" in error.hint


def test_where_there_are_wheels_for_other_pythons_alone_building_is_no_remedy(here):
    path = wheels.wheel(here, "granite", "1.0").rename(here / "granite-1.0-cp27-none-any.whl")
    error = failure(SYNC, pinned(path, "granite==1.0"))
    assert "no wheels with a matching Python" in str(error)
    assert "--allow-build" not in str(error)


def test_a_reason_begins_after_the_word_error_and_ends_before_the_hint(here):
    (here / "cache.toml").write_text("no-index = true")
    error = failure(COMPILE, "nothing-like-it")
    assert str(error).startswith("It cannot be made: No solution found when resolving")
    assert "no additional package locations" not in str(error)
    assert error.hint.startswith("uv is told by its own configuration")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script")
def test_when_the_user_stops_it_uv_ends_at_once(here, monkeypatch):
    """A long download: a stand-in says that it begins, and does not come to its end."""
    stand_in = here / "uv"
    stand_in.write_text("#!/bin/sh\necho Downloading torch >&2\nexec sleep 600\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr("mar_core.cache.environments.find_uv", lambda: str(stand_in))

    class Stopping(logging.Handler):
        def emit(self, record):
            raise KeyboardInterrupt

    logger, handler = logging.getLogger("mar_core.environments"), Stopping()
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            uv(["pip"], doing="It cannot be made")
    finally:
        logger.removeHandler(handler)
