"""What is written is never what is read, and nothing of the user's is lost."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import time

import pytest
from packs import COMMAND, mar

ECHO = """
def handle(data, context):
    if data is None:
        return None
    return [str(row.get("body", row.get("data")))[:20] for row in data]
"""
ROWS = '{"n": 1}\n{"n": 2}\n'


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo")
    (folder / "echo.py").write_text(ECHO)
    words = ("--model-name", "echo", "--version", "1.0", "--handler", "echo.py", "-q")
    mar("archive", *words, cwd=folder)
    return folder / "echo.mar"


def refused(done, *words):
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    return done


def lines(path):
    return path.read_text().splitlines()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
@pytest.mark.parametrize("way", ["same", "symbolic", "hard", "other spelling"])
def test_an_input_is_never_an_output(archive, tmp_path, name, way):
    content = {"rows.jsonl": ROWS, "rows.json": '[{"n": 1}]', "rows.csv": "n\n1\n"}[name]
    rows = tmp_path / name
    rows.write_text(content)
    output = tmp_path / f"link{rows.suffix}"
    if way == "symbolic":
        output.symlink_to(rows)
    elif way == "hard":
        output.hardlink_to(rows)
    else:
        output = rows if way == "same" else tmp_path / "." / ".." / tmp_path.name / name
    for more in ((), ("--force",), ("--resume",), ("--dry-run",)):
        done = mar("run", archive, name, "-o", output, *more, cwd=tmp_path, code=2)
        refused(done, f"{name} is read and written by one run")
    assert rows.read_text() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, output.name})


@pytest.mark.parametrize("source", ["@list.txt", "-F=data=@out.jsonl", "@out.jsonl"])
def test_lists_and_forms_are_read_too(archive, tmp_path, source):
    (tmp_path / "out.jsonl").write_text(ROWS)
    (tmp_path / "list.txt").write_text("@more.txt\n")
    (tmp_path / "more.txt").write_text("other.txt\n./out.jsonl\n")
    words = ("-F", source.removeprefix("-F=")) if source.startswith("-F") else (source,)
    refused(
        mar("run", archive, *words, "-o", "out.jsonl", "--force", cwd=tmp_path, code=2),
        "out.jsonl is read and written",
    )
    assert (tmp_path / "out.jsonl").read_text() == ROWS


@pytest.mark.parametrize("part", ["out.csv.part", "out.csv.run"])
def test_a_part_or_a_note_is_no_input_either(archive, tmp_path, part):
    (tmp_path / part).write_text("mine")
    refused(mar("run", archive, part, "-o", "out.csv", cwd=tmp_path, code=2), part)
    assert (tmp_path / part).read_text() == "mine"


@pytest.mark.parametrize("output", ["results.jsonl", "results.csv", "sub/results.json"])
@pytest.mark.parametrize("source", [".", "*"])
def test_a_run_does_not_read_its_own_output(archive, tmp_path, output, source):
    (tmp_path / "sub").mkdir()
    names = ["a.txt", "b.txt", "sub/c.txt", "z.txt"]
    for name in names:
        (tmp_path / name).write_text("x")
    (tmp_path / f"link.{output.rpartition('.')[2]}").symlink_to(output)
    for _ in range(2):  # the second run finds what the first has left
        mar("run", archive, source, "--output", output, cwd=tmp_path)
    found = (tmp_path / output).read_text()
    assert all(name in found for name in names)
    assert not [word for word in ("results", "link", "#2", ".run", ".part") if word in found]


def test_what_an_earlier_run_left_in_a_folder(archive, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    mar("run", archive, "a.txt", "-o", "old.jsonl", cwd=tmp_path)
    mar("run", archive, ".", "-o", "new.jsonl", cwd=tmp_path)
    assert [json.loads(line)["id"] for line in lines(tmp_path / "new.jsonl")] == ["./a.txt"]
    # Named, or asked for by a pattern, the results of one run are the input of the next.
    for words in (("old.jsonl",), (".", "--include", "old.*"), ("old*",)):
        done = mar("run", archive, *words, cwd=tmp_path)
        assert [json.loads(line)["id"].rpartition("/")[2] for line in done.stdout.splitlines()] == [
            "old.jsonl:1"
        ]


def test_a_file_that_only_looks_like_a_note_is_an_input(archive, tmp_path):
    (tmp_path / "morning.run").write_text("five miles")
    done = mar("run", archive, ".", cwd=tmp_path)
    assert "morning.run" in done.stdout


def test_the_folder_for_pictures_is_no_input(archive, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    refused(
        mar("run", archive, "in", "--output-dir", "in", cwd=tmp_path, code=2),
        "The folder in is read and written by one run",
    )
    (tmp_path / "in" / "zzz").mkdir()
    (tmp_path / "in" / "zzz" / "old.bin").write_text("of an earlier run")
    done = mar("run", archive, "in", "--output-dir", "in/zzz", cwd=tmp_path)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["in/a.txt"]


def test_what_is_run_is_read_too(archive, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "model").mkdir()
    handler = archive.parent / "echo.py"
    words = ("--model-name", "model", "--version", "1", "--archive-format", "no-archive", "-f")
    mar("archive", *words, "--handler", handler, cwd=tmp_path)
    refused(
        mar("run", "model", "a.txt", "-o", "model/index_to_name.json", cwd=tmp_path, code=2),
        "would become a part of model",
    )
    (tmp_path / "labels.json").write_text("{}")
    words = ("--handler", archive.parent / "echo.py", "--config-file", "labels.json", "a.txt")
    refused(
        mar("run", *words, "-o", "labels.json", "--force", cwd=tmp_path, code=2),
        "labels.json is read",
    )
    assert (tmp_path / "labels.json").read_text() == "{}"


@pytest.mark.parametrize("ending", ["jsonl", "csv", "json"])
def test_a_file_that_mar_did_not_write_needs_force(archive, tmp_path, ending):
    (tmp_path / "a.txt").write_text("x")
    mine = tmp_path / f"mine.{ending}"
    mine.write_text("years of work\n")
    mine.chmod(0o640)
    refused(
        mar("run", archive, "a.txt", "-o", mine.name, cwd=tmp_path, code=2),
        "mar did not write it", "--force",
    )  # fmt: skip
    assert mine.read_text() == "years of work\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("mine")] == [mine.name]
    mar("run", archive, "a.txt", "-o", mine.name, "--force", cwd=tmp_path)
    assert "a.txt" in mine.read_text()
    assert stat.S_IMODE(mine.stat().st_mode) == 0o640
    mar("run", archive, "a.txt", "-o", mine.name, cwd=tmp_path)  # now it is mar's
    mine.write_text(mine.read_text() + "a note of mine\n")
    refused(
        mar("run", archive, "a.txt", "-o", mine.name, cwd=tmp_path, code=2),
        "has been changed since mar wrote it",
    )
    (tmp_path / f"new.{ending}").touch()
    mar("run", archive, "a.txt", "-o", f"new.{ending}", cwd=tmp_path)  # nothing to lose


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_link_stays_a_link(archive, tmp_path, ending):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "store").mkdir()
    link = tmp_path / f"link.{ending}"
    link.symlink_to(f"store/real.{ending}")
    for _ in range(2):
        mar("run", archive, "a.txt", "-o", link.name, cwd=tmp_path)
        assert link.is_symlink()
        assert "a.txt" in (tmp_path / "store" / f"real.{ending}").read_text()


def is_locked(path):
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_second_run_on_an_output_in_use(archive, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\n" + ECHO.replace("    return [", "    time.sleep(60)\n    return [")
    )
    (tmp_path / "a.txt").write_text("x")
    for output in ("out.jsonl", "out.csv"):
        words = ("run", "--handler", "slow.py", "a.txt", "-o", output)
        with subprocess.Popen([*COMMAND, *words], cwd=tmp_path, stderr=subprocess.DEVNULL) as first:
            while not any(map(is_locked, tmp_path.glob(f"{output}*"))):
                time.sleep(0.05)
            for more in ((), ("--resume",), ("--force",)):
                done = mar(*words, *more, cwd=tmp_path, code=2)
                refused(done, "Another run is writing to", "Wait for it")
                assert "rm " not in done.stderr
            first.kill()


def test_leftovers_of_a_kill_are_removed_and_what_is_written_stays(archive, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "blobs").mkdir()
    leftovers = [
        *(".out.csv.0123abcd", ".out.csv.0123abcd.mar-partial"),
        *(".out.csv.run.89abcdef.mar-partial", "blobs/.x.png.0123abcd.mar-partial"),
    ]
    others = [".out.csv.swp", ".other.csv.0123abcd", "blobs/.hidden"]
    for name in (*leftovers, *others):
        (tmp_path / name).write_text("torn")
    mar("run", archive, "a.txt", "-o", "out.csv", "--output-dir", "blobs", cwd=tmp_path)
    assert [name for name in leftovers if (tmp_path / name).exists()] == []
    assert [name for name in others if not (tmp_path / name).exists()] == []


def test_watching_a_folder_that_holds_the_output_does_not_go_round(archive, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    words = ("run", archive, ".", "-o", "out.jsonl", "--watch")
    with subprocess.Popen(
        [*COMMAND, *map(str, words)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as watching:
        for line in watching.stderr:
            if "waiting for a change" in line:
                break
        before = (tmp_path / "out.jsonl").stat().st_mtime_ns
        time.sleep(3)
        assert (tmp_path / "out.jsonl").stat().st_mtime_ns == before
        watching.terminate()


@pytest.mark.parametrize("source", ["-", "@-"])
def test_standard_input_is_not_written_over(archive, tmp_path, source):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(ROWS)
    words = ("run", str(archive), source, "-o", "rows.jsonl", "--force")
    with rows.open("rb") as stdin:
        done = shell(*words, cwd=tmp_path, stdin=stdin, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert "Standard input is a file that the run writes" in done.stderr
    assert rows.read_text() == ROWS


def test_what_the_shell_writes_to_is_no_input_either(archive, tmp_path):
    """As ``cat`` has it: a file that grows by being read is read for ever."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(ROWS)
    (tmp_path / "a.txt").write_text("x")
    with rows.open("a") as stdout:
        done = shell("run", str(archive), "rows.jsonl", cwd=tmp_path, stdout=stdout)
        assert done.returncode == 2
        assert "rows.jsonl is read and written by one run" in done.stderr
        for source in (".", "*"):
            done = shell("run", str(archive), source, "-q", cwd=tmp_path, stdout=stdout)
            assert done.returncode == 0, done.stderr
    ids = [json.loads(line)["id"] for line in lines(rows)[2:]]
    assert ids == ["./a.txt", "a.txt"]


def test_the_metrics_file_is_read_too(archive, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "m.csv").write_text("{}")
    words = ("--metrics-config", "m.csv", "-o", "m.csv", "--force")
    refused(mar("run", archive, "a.txt", *words, cwd=tmp_path, code=2), "m.csv is read and written")


@pytest.mark.parametrize("name", ["out.csv.part", "out.csv.run", "out.jsonl.run"])
def test_a_file_of_the_users_named_like_a_part_or_a_note_stays(archive, tmp_path, name):
    (tmp_path / name).write_text("mine")
    (tmp_path / "a.txt").write_text("x")
    words = ("run", archive, "a.txt", "-o", name.rpartition(".")[0])
    refused(mar(*words, cwd=tmp_path, code=2), f"{name} is there, and mar did not write it")
    mar(*words, "--resume", cwd=tmp_path, code=2)
    assert (tmp_path / name).read_text() == "mine"
    mar(*words, "--force", cwd=tmp_path)


@pytest.mark.parametrize("source", [".", "*"])
def test_a_pipe_that_lies_in_a_folder_is_passed_by(archive, tmp_path, source):
    """Opening one waits until somebody writes to it: for ever."""
    os.mkfifo(tmp_path / "b.txt")
    (tmp_path / "c.txt").symlink_to("b.txt")
    (tmp_path / "a.txt").write_text("x")
    done = mar("run", archive, source, "-q", cwd=tmp_path)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] in (["./a.txt"], ["a.txt"])


def shell(*words, cwd, **streams):
    return subprocess.run(
        [*COMMAND, *words], cwd=cwd, stderr=subprocess.PIPE, text=True, check=False, **streams
    )
