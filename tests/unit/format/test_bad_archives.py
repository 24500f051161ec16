"""Every way in which an archive can be bad is refused, by its own rule, and nothing happens."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import namefaults
import pytest
import tarfaults
import zipfaults

from mar_core.findings import ValidationError
from mar_core.format import open_archive
from mar_core.format.codes import CODES

FAULTS = [*zipfaults.FAULTS, *tarfaults.FAULTS, *namefaults.FAULTS]
WATCHED = Path(__file__).parents[2] / "support" / "watched.py"
SECONDS, BYTES = 2, 200 << 20


def look_at(folder, tmp_path_factory):
    """The reports of a watched process over a folder, by file name, and the one about itself."""
    cache = tmp_path_factory.mktemp("cache")
    done = subprocess.run(
        [sys.executable, str(WATCHED), str(folder), str(cache)],
        capture_output=True, text=True, check=True, cwd=tmp_path_factory.mktemp("elsewhere"),
    )  # fmt: skip
    *reports, process = map(json.loads, done.stdout.splitlines())
    return {report["name"]: report for report in reports}, process


def written(folder, kind):
    for number, fault in enumerate(FAULTS):
        make = fault.bad if kind == "bad" else fault.good
        (folder / f"{number:04}{fault.suffix}").write_bytes(make())
    return folder


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    return look_at(written(tmp_path_factory.mktemp("bad"), "bad"), tmp_path_factory)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return look_at(written(tmp_path_factory.mktemp("good"), "good"), tmp_path_factory)


def report_of(reports, number):
    return reports[0][f"{number:04}{FAULTS[number].suffix}"]


numbered = pytest.mark.parametrize("number", range(len(FAULTS)), ids=[f.id for f in FAULTS])


@numbered
def test_a_fault_is_refused_by_its_rule(number, bad):
    report = report_of(bad, number)
    assert FAULTS[number].code in report["codes"], report
    assert report["seen"] == []
    assert report["seconds"] < SECONDS


@numbered
def test_its_neighbour_without_the_fault_is_taken(number, good):
    report = report_of(good, number)
    assert report["codes"] == []
    assert report["seen"] == []


def test_damaged_content_leaves_nothing_in_the_cache(bad):
    for number, fault in enumerate(FAULTS):
        left = report_of(bad, number)["left"]
        # A member that the manifest does not list is no damage: it is refused by `mar validate`.
        assert left == [] or fault.code == "MAR-A134", fault.id


def test_the_corpus_costs_little_memory(bad):
    assert bad[1]["peak"] < BYTES
    assert bad[1]["modules"] == []


def test_the_corpus_is_large():
    assert len(FAULTS) >= 300
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)


def test_every_rule_of_files_names_and_limits_is_shown_by_a_fault():
    elsewhere = {
        "MAR-A004",  # test_folder_archive: pipes and devices
        "MAR-A135",  # test_folder_archive: a folder that was edited
        "MAR-A119",  # a warning, test_valid_archives
        "MAR-N011",  # a warning, below
        "MAR-L003",  # what costs too much: tests/unit/checks/test_costs.py
    }
    ours = {code for code in CODES if code[4] in "ANL"}
    assert {fault.code for fault in FAULTS} | elsewhere == ours


def found_in(path):
    try:
        with open_archive(path) as archive:
            return archive.verify()
    except ValidationError as error:
        return error.findings


@pytest.mark.parametrize("number", range(0, len(FAULTS), 7))
def test_a_refusal_says_which_archive_what_and_what_to_do(number, tmp_path):
    fault = FAULTS[number]
    path = tmp_path / f"m{fault.suffix}"
    path.write_bytes(fault.bad())
    findings = found_in(path)
    assert findings
    assert all(found.hint == CODES[found.code].remedy for found in findings)
    assert all(found.message.endswith(".") for found in findings)
    assert str(findings[0]).isprintable()


def test_a_refusal_names_the_archive(tmp_path):
    path = tmp_path / "m.mar"
    path.write_bytes(b"no archive")
    with pytest.raises(ValidationError, match=re.escape(str(path))):
        open_archive(path)


@pytest.mark.parametrize("name", namefaults.WARNED_NAMES)
def test_names_that_windows_cannot_write_are_warned_of(name, tmp_path):
    path = tmp_path / "m.mar"
    path.write_bytes(namefaults._in_zip(name))
    with open_archive(path) as archive:
        assert [found.code for found in archive.findings] == ["MAR-N011"]


def test_the_watch_notices(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(WATCHED.parent)!r})
import subprocess, pathlib
from watched import Watch
watch = Watch(pathlib.Path({str(tmp_path)!r}) / "in", pathlib.Path({str(tmp_path)!r}) / "cache")
watch.on = True
pathlib.Path({str(tmp_path)!r}, "x").write_text("x")
pathlib.Path({str(tmp_path)!r}, "d").mkdir()
exec(compile("1", {str(tmp_path)!r} + "/in/handler.py", "exec"))
subprocess.run(["true"])
watch.on = False
print(len(watch.seen))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 4, done.stdout
