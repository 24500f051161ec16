"""Archives whose handler does what each row tells it to."""

from __future__ import annotations

import json
import textwrap

import pytest

from mar_core.records import RunOptions
from mar_core.run.session import Job, execute
from mar_core.runtime.recipe import Recipe
from mar_core.testing import make_archive

ZOO = """
    import ctypes, os, signal, subprocess, sys, threading, time

    def handle(data, context):
        if data is None:
            return None
        answers = [answer(row["body"]) for row in data]
        if {"do": "short"} in [row["body"] for row in data]:
            return answers[:-1]
        if {"do": "none"} in [row["body"] for row in data]:
            return None
        return answers

    def answer(body):
        match body.get("do"):
            case "raise":
                raise ValueError("no such digit")
            case "exit":
                sys.exit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "memory":
                raise MemoryError
            case "sleep":
                time.sleep(body.get("seconds", 600))
            case "sleep through sigterm":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(600)
            case "segfault":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "leave":
                os._exit(7)
            case "print":
                print('{"id": "forged", "result": 1}', flush=True)
                os.write(1, b'{"id": "forged", "result": 2}\\n')
                ctypes.CDLL(None).puts(b'{"id": "forged", "result": 3}')
            case "fork":
                subprocess.Popen(["sleep", "600"], start_new_session=False)
                if os.fork() == 0:
                    time.sleep(600)
                threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
            case "object":
                return object()
            case "chatter":
                sys.stderr.write("x" * 5_000_000)
            case "chdir":
                os.chdir("/")
                os.environ.clear()
        return body.get("n")
"""


def zoo(folder, **flags):
    path = folder / "zoo.py"
    path.write_text(textwrap.dedent(ZOO))
    return make_archive(folder, handler=path, model_name="zoo", **flags)


@pytest.fixture(scope="session")
def zoo_archive(tmp_path_factory):
    return zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def rows(tmp_path):
    """A file of JSON lines of these rows."""

    def write(*values, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(value) + "\n" for value in values))
        return path

    return write


@pytest.fixture
def run_rows(tmp_path, rows):
    """Runs an archive on rows; gives the summary and the output's rows."""

    def run(archive, *values, **options):
        output = tmp_path / "output.jsonl"
        job = Job(
            recipe=Recipe(source=archive),
            sources=(str(rows(*values)),),
            running=RunOptions(**options),
            output=output,
        )
        summary = execute(job, stream=None)
        return summary, [json.loads(line) for line in output.read_text().splitlines()]

    return run
