"""Acting again whenever a file changes."""

from __future__ import annotations

import threading

import pytest

from mar_core import Recipe, UsageError
from mar_core.build.request import ArchiveRequest
from mar_core.records import ReadOptions
from mar_core.run import watch as module
from mar_core.run.curl import parse_field
from mar_core.run.session import Job
from mar_core.run.watch import files_of, watch


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


def test_a_file_that_appears_and_goes_is_a_change(tmp_path, capsys):
    path = tmp_path / "late.py"
    acts = []

    def act():
        acts.append(path.exists())
        if len(acts) == 1:
            threading.Timer(0.05, path.write_text, ["pass"]).start()
            raise UsageError("There is no late.py.")
        if len(acts) == 2:
            threading.Timer(0.05, path.unlink).start()
        return len(acts) < 3

    watch(act, files=lambda: [path])
    assert acts == [False, True, False]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "mar: error: There is no late.py."
    assert said.count("mar: waiting for a change; Ctrl-C ends") == 2


def test_a_change_while_it_acts_is_not_missed(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    seen = []

    def act():
        seen.append(path.read_text())
        if len(seen) == 1:
            path.write_text("other")
        return len(seen) < 2

    watch(act, files=lambda: [path])
    assert seen == ["1", "other"]


def test_what_is_watched(tmp_path):
    names = (
        "h.py",
        "net.py",
        "w.pt",
        "extra/a.txt",
        "in/deep/x.jpg",
        "in/y.png",
        "z.json",
        "f.txt",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    request = ArchiveRequest(
        model_name="m",
        handler=f"{tmp_path}/h.py:Handler",
        model_file=tmp_path / "net.py",
        serialized_file=tmp_path / "w.pt",
        extra_files=(str(tmp_path / "extra"),),
    )
    job = Job(
        recipe=Recipe(source=request),
        sources=(
            f"{tmp_path}/in",
            f"{tmp_path}/*.json",
            f"@{tmp_path}/list",
            "https://a/b.png",
            "-",
        ),
        form=tuple(parse_field(f"data=@{tmp_path}/f.txt")),
        reading=ReadOptions(include=("*.jpg",)),
    )
    watched = {str(path.relative_to(tmp_path)) for path in files_of(job) if path.is_absolute()}
    assert watched >= set(names) - {"in/y.png"} | {"in", "list"}
    assert "in/y.png" not in watched
    (tmp_path / "h.py").unlink()  # now it cannot be opened, and is waited for
    still = {str(path.relative_to(tmp_path)) for path in files_of(job) if path.is_absolute()}
    assert still >= {"h.py", "net.py", "w.pt", "in/deep/x.jpg"}
