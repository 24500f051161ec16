"""An archive costs two seconds and 300 MB at most, whatever it holds, or is refused for it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time

import costly
import pytest
from memory_archive import HANDLER, archive, files, write_zip

from mar_core import ArchiveError, MarError, UsageError, examine_in_child, open_archive, validate
from mar_core.checks.checking import check_archive
from mar_core.findings import Severity
from mar_core.format.budget import TooCostly, budget, spend
from mar_core.reports.inspection import inspect_archive

# Two seconds for the archive, two until the system acts, one to start; machines differ by a few.
CPU_SECONDS = 4 * (2 + 2 + 1)
BYTES = 500 << 20


# In a process of its own: the system counts the children of this one together, others' too.
EXAMINE = """
import json, resource, sys
from mar_core import examine_in_child
found = examine_in_child(sys.argv[1])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([[one.code for one in found], used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


@pytest.mark.parametrize("name", costly.COSTLY)
def test_it_is_refused_or_costs_little(name, tmp_path):
    path = write_zip(tmp_path / "m.mar", costly.COSTLY[name]())
    command = [sys.executable, "-P", "-c", EXAMINE, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    codes, seconds, kibibytes = json.loads(said)
    assert seconds < CPU_SECONDS
    assert kibibytes << 10 < BYTES
    assert not set(codes) & {"MAR-X001", "MAR-X002"}


@pytest.mark.parametrize("name", costly.COSTLY)
def test_readers_and_rules_keep_to_it_by_themselves(name, tmp_path):
    """``mar run``, ``archive`` and ``inspect`` look at archives in their own process."""
    path = write_zip(tmp_path / "m.mar", costly.COSTLY[name]())
    began = time.thread_time()
    with contextlib.suppress(MarError), open_archive(path) as opened:
        validate(opened)
    middle = time.thread_time()
    with contextlib.suppress(MarError):
        inspect_archive(path)
    assert middle - began < 3 * 2
    assert time.thread_time() - middle < 3 * 2


@pytest.fixture(params=["fork", "fresh interpreter"])
def way(request, monkeypatch):
    """Both ways to a child; a test process with threads has the second only, else."""
    from mar_core.checks import checking

    ways = {"fork": checking._in_fork, "fresh interpreter": checking._in_fresh}
    monkeypatch.setattr(checking, "_in_fork", ways[request.param])
    monkeypatch.setattr(checking, "_in_fresh", ways[request.param])


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("way")
def test_findings_come_back_as_they_are(tmp_path):
    path = write_zip(tmp_path / "m.mar", files({"x.py": b"def"}, requirementsFile="gone"))
    found = examine_in_child(path)
    with open_archive(path) as opened:
        assert list(found) == validate(opened)
    assert {one.severity for one in found} == {Severity.ERROR, Severity.WARNING}


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("way")
def test_what_cannot_be_examined(tmp_path):
    with pytest.raises(ArchiveError, match=r"There is no archive .*gone\.mar"):
        examine_in_child(tmp_path / "gone.mar")
    (tmp_path / "page.mar").write_text("<html>")
    assert [one.code for one in examine_in_child(tmp_path / "page.mar")] == ["MAR-A001"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("way")
def test_the_user_sets_the_time(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "m.mar", costly.COSTLY["200,000 names"]())
    monkeypatch.setenv("MAR_MAX_SECONDS", "60")
    assert "MAR-L003" not in {one.code for one in examine_in_child(path)}
    monkeypatch.setenv("MAR_MAX_SECONDS", "0.0001")
    assert {one.code for one in check_archive(path).findings} == {"MAR-L003"}


def test_the_user_sets_the_memory(tmp_path, monkeypatch):
    from mar_core.checks import checking

    # A fork may use again what the test process has freed: there so small a limit holds nothing.
    monkeypatch.setattr(checking, "_in_fork", checking._in_fresh)
    path = write_zip(tmp_path / "m.mar", costly.COSTLY["200,000 names"]())
    monkeypatch.setenv("MAR_MAX_SECONDS", "60")
    monkeypatch.setenv("MAR_MAX_MEMORY", "1M")
    checked = check_archive(path)
    assert not checked.is_sound
    # Python's parser runs out of memory by itself, and says that it is nested too deeply.
    assert {one.code for one in checked.findings} <= {"MAR-L003", "MAR-C001"}


def test_limits_that_are_none(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "m.mar", files())
    monkeypatch.setenv("MAR_MAX_SECONDS", "soon")
    with pytest.raises(UsageError, match="MAR_MAX_SECONDS is 'soon'"):
        examine_in_child(path)


def test_time_is_a_bound_within_a_process_too(monkeypatch):
    monkeypatch.setenv("MAR_MAX_SECONDS", "0")
    found = validate(archive({"x.py": HANDLER}))
    assert [one.code for one in found] == ["MAR-L003"]


def test_a_budget_that_is_spent_stays_so():
    with budget(0) as left:
        spend(1_000_000)
        left._end = 0.0
        for _ in range(2):
            with pytest.raises(TooCostly, match="costs more than 2 seconds"):
                spend(256)
        with budget(1 << 40) as inner:
            assert inner is left
    spend(1_000_000)  # nobody counts any more


def test_waiting_costs_nothing():
    with budget(0) as left:
        left._end = left._end - left.seconds + 0.2
        time.sleep(0.3)
        spend(1_000)
