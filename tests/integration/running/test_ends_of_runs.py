"""How a run ends: its exit code says what its output holds, and no end is a traceback."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import time

import pytest
from packs import COMMAND, mar

HANDLER = """
def handle(data, context):
    if data is None:
        return None
    return [answer(at, row.get("body", row.get("data")), context) for at, row in enumerate(data)]

def answer(at, body, context):
    if isinstance(body, dict) and "status" in body:
        context.set_response_status(body["status"], body.get("phrase", ""), idx=at)
        return body.get("say", {"seen": body["status"]})
    if body == {"do": "raise"}:
        raise ValueError("no such digit")
    return str(body)[:20]
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    (folder / "desk.py").write_text(HANDLER)
    words = ("--model-name", "desk", "--version", "1.0", "--handler", "desk.py", "-q")
    mar("archive", *words, cwd=folder)
    return folder / "desk.mar"


def write_rows(path, *rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path.name


def shell(command, cwd, *, archive, code):
    """Run a line of shell, ``mar`` and ``m.mar`` in it for the real ones."""
    line = command.replace("m.mar", str(archive)).replace("mar ", f"{' '.join(COMMAND)} ", 1)
    done = subprocess.run(
        ["bash", "-c", line], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


def test_a_status_that_the_handler_chose_is_a_failure(archive, tmp_path):
    rows = write_rows(
        tmp_path / "rows.jsonl",
        {"status": 200}, {"status": 399}, {"status": 400}, {"status": 415, "phrase": "no picture"},
        {"status": 422, "say": "upside down"}, {"status": 799},
    )  # fmt: skip
    done = mar("run", archive, rows, cwd=tmp_path, code=1)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["result"] for row in found] == [
        {"seen": 200}, {"seen": 399}, {"seen": 400}, {"seen": 415}, "upside down", {"seen": 799},
    ]  # fmt: skip
    errors = [row.get("error") for row in found]
    assert errors[:2] == [None, None]
    assert [tuple(error.values()) for error in errors[2:]] == [
        ("response", "Bad Request", "Bad Request", 400),
        ("response", "Unsupported Media Type", "no picture", 415),
        ("response", "Unprocessable Entity", "upside down", 422),
        ("response", "Status 799", "Status 799", 799),
    ]
    assert "2 succeeded, 4 failed" in done.stderr
    assert "1 x response/Bad Request" in done.stderr
    done = mar("run", archive, rows, "--fail-fast", "-o", "out.csv", cwd=tmp_path, code=1)
    assert "2 succeeded, 1 failed" in done.stderr


@pytest.mark.parametrize("output", ["out.jsonl", "out.csv"])
def test_the_exit_code_says_what_the_file_holds(archive, tmp_path, output):
    rows = write_rows(tmp_path / "rows.jsonl", {"do": "raise"}, {"n": 1}, {"n": 2})
    mar("run", archive, rows, "--limit", "2", "--fail-fast", "-o", output, cwd=tmp_path, code=1)
    done = mar("run", archive, rows, "-o", output, "--resume", cwd=tmp_path, code=1)
    assert "2 succeeded, 0 failed, 1 done before, 1 of them failed" in done.stderr
    if output == "out.jsonl":
        done = mar("run", archive, rows, "-o", output, "--resume", cwd=tmp_path, code=1)
        assert "0 succeeded, 0 failed, 3 done before, 1 of them failed" in done.stderr


def test_a_changed_input_is_not_passed_over_in_silence(archive, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("one")
    rows = write_rows(tmp_path / "rows.jsonl", {"n": 1}, {"n": 2})
    words = ("run", archive, "a.txt", "b.txt", rows, "-o", "out.jsonl")
    mar(*words, cwd=tmp_path)
    assert "Changed" not in mar(*words, "--resume", cwd=tmp_path).stderr
    time.sleep(0.05)
    before = (tmp_path / "b.txt").stat()
    (tmp_path / "b.txt").write_text("two")
    os.utime(tmp_path / "b.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    write_rows(tmp_path / "rows.jsonl", {"n": 3}, {"n": 4})
    done = mar(*words, "--resume", cwd=tmp_path)
    assert "not run again: b.txt, rows.jsonl." in done.stderr
    assert "--force" in done.stderr


@pytest.mark.parametrize(
    "command",
    ["run m.mar a.txt", "run m.mar a.txt --json -q", "inspect m.mar", "--help", "--version",
     "validate m.mar", "run m.mar a.txt --dry-run", "cache", "plugins", "run --help"],
)  # fmt: skip
def test_a_standard_output_that_takes_nothing(archive, tmp_path, command):
    (tmp_path / "a.txt").write_text("x")
    done = shell(f"mar {command} > /dev/full", tmp_path, archive=archive, code=2)
    assert "Standard output cannot be written: No space left on device." in done.stderr
    done = shell(f"mar {command} >&-", tmp_path, archive=archive, code=2)
    assert "Standard output is closed" in done.stderr


def test_closed_streams_that_are_not_needed(archive, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    shell("mar run m.mar a.txt -o out.jsonl >&- 2>&- <&-", tmp_path, archive=archive, code=0)
    assert json.loads((tmp_path / "out.jsonl").read_text())["result"]
    done = shell("mar run m.mar - <&-", tmp_path, archive=archive, code=1)
    assert "nothing on standard input" in done.stdout
    done = shell("mar run m.mar -F data=@- <&-", tmp_path, archive=archive, code=0)
    shell("mar run m.mar a.txt 2>/dev/full", tmp_path, archive=archive, code=0)


def test_a_reader_that_leaves(archive, tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", *({"n": n} for n in range(20_000)))
    line = f"set -o pipefail; mar run m.mar {rows} -q | head -1"
    shell(line, tmp_path, archive=archive, code=0)


def test_an_output_that_is_no_file(archive, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name in ("full.jsonl", "pipe.jsonl"):
        done = mar("run", archive, "a.txt", "-o", name, cwd=tmp_path, code=2)
        assert "it is no ordinary file" in done.stderr


def limited_run(archive, tmp_path, *words, stdin=None):
    """A run in 2 GB of memory."""
    limit = 2 << 30
    return subprocess.run(
        [*COMMAND, "run", archive, *words],
        cwd=tmp_path,
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )


def test_inputs_have_bounds(archive, tmp_path):
    small = ("--max-input-size", "100K")
    (tmp_path / "long.jsonl").write_text('{"n": 1}\n' + "1" * 300_000 + '\n{"n": 2}\n')
    (tmp_path / "long.json").write_text('[{"n": 1}, "' + "1" * 300_000 + '"]')
    (tmp_path / "long.csv").write_text("n\n1\n" + "1" * 300_000 + "\n")
    (tmp_path / "quoted.csv").write_text('n\n1\n"' + "1\n" * 300_000)
    (tmp_path / "long.bin").write_bytes(bytes(300_000))
    (tmp_path / "long.jsonl.gz").write_bytes(gzip.compress(b"1" * 300_000))
    with tarfile.open(tmp_path / "long.tar.gz", "w:gz") as tar:
        for name in ("long.bin", "long.csv"):
            tar.add(tmp_path / name, name)
    words = sorted(path.name for path in tmp_path.iterdir())
    done = mar("run", archive, *words, *small, cwd=tmp_path, code=1)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    failed = {row["id"]: row["error"]["message"] for row in rows if "error" in row}
    assert sorted(failed) == [
        "long.bin", "long.csv", "long.json", "long.jsonl.gz:1", "long.jsonl:2",
        "long.tar.gz!long.bin", "long.tar.gz!long.csv", "quoted.csv",
    ]  # fmt: skip
    for name, message in failed.items():
        if name != "quoted.csv":
            assert "is larger than 100.0 KiB. Take larger ones with --max-input-size" in message
    assert [row["id"] for row in rows if "result" in row] == [
        "long.csv:1", "long.json:1", "long.jsonl:1", "long.jsonl:3", "quoted.csv:1",
    ]  # fmt: skip
    done = mar("run", archive, "-F", "x=@long.bin", *small, cwd=tmp_path, code=1)
    assert "is larger than 100.0 KiB" in done.stdout
    assert (
        "is no size"
        in mar("run", archive, "a", "--max-input-size", "x", cwd=tmp_path, code=2).stderr
    )


def test_an_endless_line_and_a_small_tar_that_is_large_inside(archive, tmp_path):
    zeros = bytes(1 << 20)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz", compresslevel=9) as tar:
        for number in range(2):
            info = tarfile.TarInfo(f"{number}.bin")
            info.size = 1 << 30
            tar.addfile(info, Zeros(info.size))
    done = limited_run(archive, tmp_path, "bomb.tar.gz")
    assert done.returncode == 1, done
    assert done.stdout.count("is larger than 256.0 MiB") == 2
    script = f"import sys\nfor _ in range(600): sys.stdout.buffer.write({len(zeros)} * b'x')"
    for source in ("-",):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as line:
            done = limited_run(archive, tmp_path, source, stdin=line.stdout)
            line.stdout.close()
        assert done.returncode == 1, done
        assert "is larger than 256.0 MiB" in done.stdout
        assert "Traceback" not in done.stderr
    done = limited_run(archive, tmp_path, "/dev/zero")
    assert "is larger than 256.0 MiB" in done.stdout, done


class Zeros(io.RawIOBase):
    """A file of zeros."""

    def __init__(self, size):
        self.left = size

    def readinto(self, buffer):
        count = min(len(buffer), self.left)
        buffer[:count] = bytes(count)
        self.left -= count
        return count
