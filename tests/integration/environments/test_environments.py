"""An archive brings its environment: locked, made once, apart from mar's own and from others'."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import serving
import wheels
from packs import mar

import mar_core
from mar_core import ArchiveError, HandlerError, Recipe, UsageError
from mar_core.cache import entries as cache
from mar_core.cache.environments import find_uv, python_of
from mar_core.checks.requirements import version_of
from mar_core.checks.subject import Subject
from mar_core.reports.difference import compare_archives
from mar_core.reports.doctor.archive import packages_needed
from mar_core.reports.example_runs import run_examples
from mar_core.reports.inspection import inspect_archive

NEW = "pebble-2.0-py3-none-any.whl"
ONE = '{"data": 1}\n'


@pytest.fixture(scope="session")
def locked(made):
    """Two archives that need one package in two versions, locked by the command line."""
    (made.folder / "one.jsonl").write_text(ONE)
    for name, version in (("old", "1.0"), ("new", "2.0")):
        (made.folder / f"{name}.txt").write_text(f"pebble=={version}\n")
        mar(
            *("archive", "--model-name", name, "--version", "1.0", "--handler", "handler.py"),
            *("--requirements-file", f"{name}.txt", "--lock"),
            cwd=made.folder, **made.variables,
        )  # fmt: skip
    return made.folder / "old.mar", made.folder / "new.mar"


def run(place, *words, code=0, **variables):
    return mar("run", *words, cwd=place.folder, code=code, **{**place.variables, **variables})


def test_two_archives_run_with_two_versions_of_one_package(place, locked, told):
    done = run(place, "old.mar", "one.jsonl", "--env", "auto")
    assert json.loads(done.stdout)["result"][:3] == ["1.0", "1.0", True]
    assert "mar: info: Making the environment of old: 1 package.\n" in done.stderr
    new = json.loads(run(place, "new.mar", "one.jsonl", MAR_ENV="auto").stdout)["result"]
    assert new[:2] == ["2.0", "2.0"]
    assert new[3] != sys.prefix
    assert place.answer(locked[0], env="auto", offline=True)[0] == "1.0"
    assert told == []


def test_one_server_runs_both_at_once(place, locked):
    words = (*locked, "--env", "auto")
    with (
        serving.running(*words, folder=place.folder, env=place.variables) as server,
        server.client() as client,
    ):
        found = [client.post(f"/predictions/{name}", data={"data": "1"}) for name in ("old", "new")]
        assert [answer.json()[0] for answer in found] == ["1.0", "2.0"]


def test_who_says_nothing_is_told_of_it_in_one_sentence(place, locked, told):
    Recipe(source=locked[0]).prepare()
    (sentence,) = told
    assert sentence == (
        f"{locked[0]} needs pebble==1.0 (not installed): --env auto (or MAR_ENV=auto) runs it "
        "in the environment that it brings."
    )
    told.clear()
    Recipe(source=locked[0], env="off").prepare()
    Recipe(source=place.archive("fine", "pluggy", lock=False)).prepare()
    assert told == []


def test_offline_needs_a_warm_cache_and_says_what_a_cold_one_lacks(place, locked, tmp_path):
    words = ("old.mar", "one.jsonl", "--env", "auto", "--offline")
    # Folders are no network: an index is asked here, and none is there.
    cold = {"UV_CACHE_DIR": str(tmp_path / "uv"), "MAR_CACHE_DIR": str(tmp_path / "mar")}
    (tmp_path / "uv.toml").write_text("")
    done = run(place, *words, code=2, UV_CONFIG_FILE=str(tmp_path / "uv.toml"), **cold)
    assert "The environment of old cannot be made offline: " in done.stderr
    assert "pebble was not found in the cache" in done.stderr
    assert "without --offline" in done.stderr
    # The environment is new, and the wheel is in uv's cache.
    warm = run(place, *words, MAR_CACHE_DIR=str(tmp_path / "mar"))
    assert "Making the environment of old" in warm.stderr


def test_a_lock_whose_hash_is_wrong_is_refused(place, locked):
    digest = wheels.digest(place.wheels / "pebble-1.0-py3-none-any.whl")
    lock = mar_core.open_archive(locked[0]).read("pylock.toml").decode()
    assert digest in lock
    wrong = place.archive(
        "wrong", "pebble==1.0", files={"pylock.toml": lock.replace(digest, "0" * 64)}
    )
    with pytest.raises(ArchiveError, match=r"Hash mismatch for `pebble==1.0`.*not what"):
        place.answer(wrong, env="auto")
    assert not [entry for entry in cache.entries() if entry.name == "wrong" and "env" in entry.kind]


def test_locking_again_is_seen_by_diff_and_by_inspect(place):
    path = place.archive("changing", "pebble<2", lock=True)
    before = path.with_name("before.mar")
    before.write_bytes(path.read_bytes())
    changed = place.folder / "changing.txt"
    changed.write_text("pebble>=2\n")
    mar_core.update(path, requirements_file=changed)
    assert [f.code for f in mar_core.validate(mar_core.open_archive(path))] == ["MAR-Q009"]
    assert not inspect_archive(path).lock.current
    with pytest.raises(ArchiveError, match=r"other requirements.*mar update .*changing.mar --lock"):
        place.answer(path, env="auto")
    mar_core.update(path, lock=True)
    lock = inspect_archive(path).lock
    assert (lock.packages, lock.current, lock.fault) == ({"pebble": "2.0"}, True, None)
    (found,) = compare_archives(before, path).packages
    assert (found.name, found.before, found.after) == ("pebble", "1.0", "2.0")
    assert place.answer(path, env="auto")[0] == "2.0"


def test_doctor_says_that_the_archive_brings_what_is_missing(place, locked):
    with mar_core.open_archive(locked[0]) as archive:
        lock, lack, *more = packages_needed(Subject(archive))
    assert str(lock) == "lock: It locks 1 package, which --env auto installs apart"
    assert (lack.state.value, lack.message[:30]) == ("warning", "The archive needs pebble==1.0 ")
    assert lack.hint.startswith("Run it in the environment that it brings (`--env auto`)")
    assert more == []


ODD = ("\ufeffpebble==1.0", "--extra-index-url https://example.org/simple", "-e .", "-r more.txt",
       "git+https://example.org/x.git", "pebble @ file:///x.tar.bz2", "pebble==2004-a")  # fmt: skip


def test_a_dry_run_says_which_it_would_be_and_makes_none(place, locked, tmp_path):
    bare = place.archive("bare", lock=False)
    plain = place.archive("plain", "pebble", lock=False)
    ways = {
        (locked[0],): "mar's own",
        (locked[0], "--env", "off"): "mar's own",
        (locked[0], "--env", "auto"): "one of its own, from pylock.toml",
        (plain, "--env", "auto"): "one of its own, from requirements without a lock",
        (bare, "--env", "auto"): "mar's own: it has no requirements",
        (locked[0], "--env", sys.prefix): sys.prefix,
    }
    for words, says in ways.items():
        done = run(place, *words, "one.jsonl", "--dry-run", "--json", MAR_CACHE_DIR=tmp_path / "c")
        assert json.loads(done.stdout)["environment"] == says
    assert not (tmp_path / "c").exists()


def test_odd_requirements_are_warnings_until_they_would_be_installed(place):
    path = place.archive("odd", *ODD)
    with mar_core.open_archive(path) as archive:
        assert {f.severity.value for f in mar_core.validate(archive)} == {"warning"}
    with pytest.raises(UsageError, match=r"odd.txt cannot be installed: Line 2 adds another index"):
        place.answer(path, env="auto")
    with pytest.raises(UsageError, match=r"odd.txt cannot be locked: Line 2 adds another index"):
        mar_core.update(path, lock=True)
    with pytest.raises(UsageError, match="no requirements to lock"):
        place.archive("bare", lock=True)


SCRIPT = """# /// script
# requires-python = ">=3.11"
# dependencies = ["boulder", "rich; python_version < '3'"]
# ///
"""


def test_examples_are_recorded_where_the_archive_will_run(place, locked):
    flags = {"lock": True, "examples": [place.folder / "one.jsonl"]}
    with pytest.raises(HandlerError, match="needs the package pebble, which is not installed"):
        place.archive("shown", "pebble==1.0", **flags, env="off")
    path = place.archive("shown", "pebble==1.0", **flags, env="auto")
    (result,) = run_examples(Recipe(source=path, env="auto"))
    assert result.got[0][0] == "1.0"
    assert result.passed


def test_a_handler_names_its_packages_itself(place):
    handler = place.folder / "script.py"
    handler.write_text(SCRIPT + (place.folder / "handler.py").read_text())
    request = mar_core.ArchiveRequest(model_name="script", handler=str(handler))
    assert place.answer(request, env="auto")[0] == "1.0"
    path = place.archive("script", handler=handler, lock=True)
    assert inspect_archive(path).requirements[0] == "boulder"
    assert inspect_archive(path).lock.packages == {"boulder": "1.0", "pebble": "1.0"}
    assert place.answer(path, env="auto")[0] == "1.0"
    handler.write_text(handler.read_text().replace(">=3.11", "<3"))
    with pytest.raises(ArchiveError, match="script needs Python <3; this is"):
        place.answer(request, env="auto")


def test_an_environment_of_the_users_own(place, locked, tmp_path):
    python = python_of(tmp_path / "mine")
    subprocess.run([find_uv(), "venv", "-q", "-p", sys.executable, tmp_path / "mine"], check=True)
    install = [find_uv(), "pip", "install", "-q", "-p", python, place.wheels / NEW]
    subprocess.run(install, check=True)
    before = sorted(path for path in (tmp_path / "mine").rglob("*") if "__pyc" not in str(path))
    answer = place.answer(locked[0], env=str(tmp_path / "mine"))
    assert answer == ["2.0", "2.0", True, str(tmp_path / "mine")]
    after = sorted(path for path in (tmp_path / "mine").rglob("*") if "__pyc" not in str(path))
    assert after == before
    with pytest.raises(UsageError, match="is no environment: there is no"):
        place.answer(locked[0], env=str(tmp_path / "absent"))


@pytest.mark.parametrize("says", ["5", "[5, 5, 5]", "[[3, 11], null, [[]", "[[3, 11], null, 5]"])
def test_what_is_no_python_is_no_environment(place, locked, tmp_path, says):
    python = python_of(tmp_path / "odd")
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho '{says}'\n")
    python.chmod(0o755)
    with pytest.raises(ArchiveError, match="does not run"):
        place.answer(locked[0], env=str(tmp_path / "odd"))
    with pytest.raises(UsageError, match="is no environment"):
        place.answer(locked[0], env="x" * 300)


def test_packages_of_mars_own_environment_are_seen_only_by_who_inherits_them(place, locked):
    # That they are not seen otherwise, the others say.
    assert place.answer(locked[0], env="auto", inherit=True)[:3] == ["1.0", "1.0", False]


def test_torch_is_installed_only_where_another_release_is_locked(place, told):
    here = version_of("torch").partition("+")[0]
    wheels.wheel(place.wheels, "torch", here, requires=("granite",))
    wheels.wheel(place.wheels, "torch", "99.0", requires=("granite",))
    wheels.wheel(place.wheels, "granite", "1.0")
    handler = place.folder / "torches.py"
    handler.write_text(
        "import importlib.metadata as known, torch\n\n"
        "def handle(data, context):\n"
        "    names = sorted({d.name for d in known.distributions()} & {'granite', 'pebble'})\n"
        "    version = torch.__version__.partition('+')[0]\n"
        "    return [[version, names] for _ in data] if data else None\n"
    )
    # The release of this environment is taken where the requirements allow it.
    same = place.archive("same", "torch", "pebble", handler=handler, lock=True)
    assert inspect_archive(same).lock.packages["torch"] == here
    assert place.answer(same, env="auto", device="cpu") == [here, ["pebble"]]
    assert told[1].endswith(": 1 package; torch and torchvision are mar's own.")
    other = place.archive("other", "torch>=99", "pebble", handler=handler, lock=True)
    assert place.answer(other, env="auto", device="cpu") == ["99.0", ["granite", "pebble"]]


def test_what_has_no_wheel_is_not_built_unless_that_is_allowed(place, tmp_path):
    source = wheels.sdist(tmp_path, "gravel", "1.0")
    lock = (
        'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "gravel"\n'
        f'version = "1.0"\nsdist = {{ path = "{source.name}", hashes = {{ sha256 = '
        f'"{wheels.digest(source)}" }} }}\n'
    )
    path = place.archive("gravel", files={"pylock.toml": lock})
    with pytest.raises(ArchiveError, match=r"no wheel of gravel.*--allow-build"):
        place.answer(path, env="auto")
    (place.folder / "gravel.txt").write_text("gravel\n")
    with pytest.raises(ArchiveError, match=r"gravel was not found"):
        mar_core.update(path, requirements_file=place.folder / "gravel.txt", lock=True)


def test_the_cache_counts_environments_and_clears_them(place, locked, tmp_path):
    variables = {**place.variables, "MAR_CACHE_DIR": str(tmp_path)}
    mar("run", "old.mar", "one.jsonl", "--env", "auto", cwd=place.folder, **variables)
    shown = mar("cache", cwd=place.folder, **variables).stdout
    assert "1 archive and 1 environment, " in shown
    cleared = mar("cache", "--clear", cwd=place.folder, **variables).stdout
    assert cleared.startswith("Removed 1 archive and 1 environment, ")
    assert {path.name for path in tmp_path.rglob("*")} == {"unpacked-1", "CACHEDIR.TAG"}
