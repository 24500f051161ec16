"""Handlers that come with an installed distribution: packed by name, recorded, run, missed."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest


def pack(zoo, folder, handler):
    """An archive made where the handler is installed."""
    done = zoo.mar(
        "--no-plugins",
        *("archive", "--model-name", "m", "--version", "1.0", "--handler", handler),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / "m.mar"


def elsewhere(*words):
    """``mar`` where none of the distributions is installed."""
    return subprocess.run(
        [sys.executable, "-m", "mar_core", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def word(tmp_path):
    path = tmp_path / "word.jsonl"
    path.write_text('{"data": "hello"}\n')
    return path


@pytest.mark.parametrize("handler", ["shout", "dist_shout:Shout"])
def test_its_name_packs_and_runs_and_is_recorded(zoo, tmp_path, word, handler):
    path = pack(zoo, tmp_path, handler)
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
    assert manifest["model"]["handler"] == handler
    assert manifest["mar"]["handler"] == {"distribution": "dist-shout", "version": "1.0"}
    done = zoo.mar("--no-plugins", "run", path, word)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == "HELLO"


def test_where_it_is_missing_every_command_says_what_to_install(zoo, tmp_path, word):
    path = pack(zoo, tmp_path, "shout")
    ran = elsewhere("run", path, word)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "`pip install dist-shout" in ran.stderr
    assert "Traceback" not in ran.stderr
    validated = elsewhere("validate", path)
    assert validated.returncode == 0, "it is sound, it only lacks something here"
    assert "warning MAR-R004" in validated.stdout
    assert "`pip install dist-shout==1.0`" in validated.stdout
    assert "needs dist-shout 1.0" in elsewhere("inspect", path).stdout


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        ("limp", "provides the module 'a_package_that_is_not_there'"),
        ("tomorrow", "needs mar-core >=99, and this is mar-core"),
    ],
)
def test_one_that_cannot_be_loaded_is_a_sentence(zoo, tmp_path, word, handler, words):
    path = pack(zoo, tmp_path, handler)
    done = zoo.mar("--no-plugins", "run", path, word)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_two_offer_is_not_packed(zoo, tmp_path):
    done = zoo.mar(
        "--no-plugins",
        *("archive", "--model-name", "m", "--version", "1.0", "--handler", "echo"),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "dist-echo-one 1.0 and dist-echo-two 1.0" in done.stderr
    assert not list(tmp_path.glob("*.mar"))


def test_one_that_is_broken_does_not_hide_the_others(zoo, tmp_path):
    done = zoo.mar(
        "archive", "--model-name", "m", "--version", "1.0", "--handler", "nothing", cwd=tmp_path
    )
    assert done.returncode == 2
    assert "There is no handler 'nothing'" in done.stderr
