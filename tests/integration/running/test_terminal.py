"""What people see: a table, one result in full, a bar; and plain lines where nobody looks."""

from __future__ import annotations

import json
import re
import time

import pytest
from packs import mar
from PIL import Image
from terminal import Terminal

LABELS = """
import io, time
from PIL import Image

def handle(data, context):
    if data is None:
        return None
    for row in data:
        Image.open(io.BytesIO(row["body"])).load()
    return [{"lynx": 0.05, "tabby": 0.7, "tiger cat": 0.25}] * len(data)
"""
SLOW = """
import time

def handle(data, context):
    if data is None:
        return None
    time.sleep(0.01 * len(data))
    if data[0]["body"].get("n") == 2:
        raise ValueError("two")
    return [row["body"]["n"] for row in data]
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    (folder / "labels.py").write_text(LABELS)
    (folder / "slow.py").write_text(SLOW)
    for name in ("cat.png", "dog.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "rows.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(250)))
    return folder


def show(room, *words, **more):
    with Terminal("run", *words, cwd=room, **more) as terminal:
        text = terminal.end()
    return [line.rstrip() for line in text.splitlines()], terminal.code


def test_a_single_picture_gives_labels_with_bars(room):
    lines, code = show(room, "--handler", "labels.py", "cat.png")
    assert lines[:4] == [
        "cat.png",
        " tabby      ████████████████▊         70.0%",
        " tiger cat  ██████                    25.0%",
        " lynx       █▏                         5.0%",
    ]
    assert lines[4].startswith("labels: 1 input in ")
    assert code == 0


def test_several_are_a_table_in_order(room):
    words = ("dog.png", "broken.png", "nosuch.png", "cat.png")
    lines, code = show(room, "--handler", "labels.py", *words, "--quiet", columns=100)
    assert code == 1
    first = [line.split()[0] for line in lines if line[0] not in " ─"]
    assert first == ["input", *words]
    assert "tabby 70.0%, tiger cat 25.0%, lynx 5.0%" in lines[2]
    assert "UnidentifiedImageError in inference: cannot identify image file" in " ".join(lines)
    assert "nosuch.png   There is no nosuch.png." in lines


def test_json_on_a_terminal_is_json(room):
    lines, code = show(room, "--handler", "labels.py", "cat.png", "--json", "-q", columns=200)
    assert json.loads(lines[0])["result"]["tabby"] == 0.7
    assert (len(lines), code) == (1, 0)


def test_a_bar_while_it_goes_on_and_a_summary_at_the_end(room):
    words = ("--handler", "slow.py", "rows.jsonl", "-o", "out.jsonl")
    lines, code = show(room, *words, columns=120)
    shown = " ".join(lines)
    assert code == 1
    assert re.search(r"slow [━╸╺]+ \d+ done [\d.,]+/s 1 failed \d:\d\d:\d\d", shown)
    summary = next(at for at, line in enumerate(lines) if "250 inputs in " in line)
    assert re.search(
        r"250 inputs in .*, [\d.,]+ a second; 249 succeeded, 1 failed$", lines[summary]
    )
    assert lines[summary + 1] == "  1 x inference/ValueError"
    assert re.search(r"^  time: .*inference [\d.]+ s", lines[summary + 2])


def test_quiet_shows_no_bar(room):
    words = ("--handler", "slow.py", "rows.jsonl", "-o", "quiet.jsonl", "-q")
    assert show(room, *words) == ([], 1)


def test_results_in_a_file_are_json_lines_while_the_terminal_has_the_bar(room):
    words = ("--handler", "slow.py", "rows.jsonl")
    lines, _ = show(room, *words, redirect=room / "redirected.jsonl", columns=120)
    assert "done" in " ".join(lines)
    rows = [json.loads(line) for line in (room / "redirected.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"rows.jsonl:{n}" for n in range(1, 251)]


def test_a_log_has_plain_lines(room, monkeypatch, capsys):
    from mar_core.records import RunSummary
    from mar_core.run import progress

    monkeypatch.setattr(progress, "LOG_SECONDS", 0.05)
    summary = RunSummary(model="m", skipped=1000)
    start = time.monotonic()
    with progress.show_progress(count=lambda: None) as show_it:
        for _ in range(20):
            summary.total += 1
            summary.succeeded += summary.total % 2
            summary.seconds += 0.01
            time.sleep(0.01)
            if time.monotonic() >= show_it.due:
                show_it(summary)
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= (time.monotonic() - start) / 0.05
    assert re.fullmatch(r"mar: 1,0\d\d done, 100\.0 a second, \d failed", lines[0])


def test_short_runs_say_nothing_but_the_summary(room):
    done = mar("run", "--handler", "slow.py", "rows.jsonl", "--limit", "2", cwd=room)
    assert [line[:6] for line in done.stderr.splitlines()] == ["slow: ", "  time"]


def test_ctrl_c_on_a_terminal(room):
    with Terminal(
        *("run", "--handler", "slow.py", "rows.jsonl", "-o", "keys.jsonl"), cwd=room
    ) as terminal:
        terminal.until("done")
        terminal.type("\x03")
        text = terminal.end()
    assert terminal.code == 130
    assert re.search(r"mar: interrupted; \d+ inputs done\. Go on with the same command", text)
    assert "Traceback" not in text


def test_watching_runs_again_at_each_change(room):
    """Of a source, of an input; a mistake is said and the next change waited for."""
    source, text = room / "watched.py", room / "word.txt"
    source.write_text("def handle(data, context):\n    return ['first'] if data else None\n")
    text.write_text("word")
    words = ("run", "--handler", "watched.py", "word.txt", "--watch", "--json", "-q")
    waiting = "mar: waiting for a change; Ctrl-C ends\n"
    with Terminal(*words, cwd=room, columns=200) as terminal:
        assert '"result": "first"' in terminal.until(waiting)
        source.write_text("def handle(data, context):\n    return data and [1 / 0]\n")
        assert "ZeroDivisionError" in terminal.until(waiting)
        source.write_text("def handle(data, context:\n")
        assert "watched.py" in (shown := terminal.until(waiting))
        assert "Traceback" not in shown
        source.unlink()
        assert "There is no handler file watched.py." in terminal.until(waiting)
        source.write_text(
            "def handle(data, context):\n    return [r['body'] for r in data or ()]\n"
        )
        assert '"result": "word"' in terminal.until(waiting)
        text.write_text("another")
        assert '"result": "another"' in terminal.until(waiting)
        time.sleep(1)
        assert not terminal.shows_more(), "nothing has changed"
        terminal.type("\x03")
        assert "Traceback" not in terminal.end()
    assert terminal.code == 130


def test_breakpoints_stop_in_the_users_own_file(room):
    """The debugger has the terminal, and shows the line as it lies on the disk."""
    source = room / "debugged.py"
    source.write_text(
        "def handle(data, context):\n    answer = 42\n    breakpoint()\n"
        "    return [answer] if data else None\n"
    )
    words = ("run", "--handler", "debugged.py", "cat.png", "-q", "--in-process")
    with Terminal(*words, cwd=room, columns=200) as terminal:
        shown = terminal.until("(Pdb)")
        assert f"> {source}(4)handle()" in shown
        terminal.type("p answer + 1\n")
        assert "43" in terminal.until("(Pdb)")
        terminal.type("c\n")
        terminal.until("(Pdb)")  # it is called once without data, as in TorchServe
        terminal.type("c\n")
        assert "42" in terminal.end()
    assert terminal.code == 0


def test_tracebacks_name_the_users_own_file(room):
    (room / "helper.py").write_text("def divide():\n    return 1 / 0\n")
    (room / "raising.py").write_text(
        "import helper\ndef handle(data, context):\n    return data and helper.divide()\n"
    )
    words = ("--handler", "raising.py", "--extra-files", "helper.py", "cat.png", "--verbose")
    for more in ((), ("--workers", "1")):
        done = mar("run", *words, *more, cwd=room, code=1)
        assert f'File "{room}/raising.py", line 3, in handle' in done.stderr
        assert f'File "{room}/helper.py", line 2, in divide' in done.stderr
    assert list(room.glob("**/__pycache__")) == []
