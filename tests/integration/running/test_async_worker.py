"""A worker process asked from an event loop, as a server asks it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from mar_core import AsyncWorker, HandlerError, MetricTypes, Recipe, Request, WorkerDied
from mar_core.testing import make_archive

HANDLER = """
    import json, logging, os, signal, sys, time
    from ts.handler_utils.utils import send_intermediate_predict_response
    from ts.torch_handler.base_handler import BaseHandler
    from ts.utils.util import PredictionException

    class Handler(BaseHandler):
        def initialize(self, context):
            self.calls = 0
            print("initialized", flush=True)

        def describe_handle(self):
            return {"calls": self.calls}

        def teardown(self):
            print("torn down", flush=True)

        def handle(self, data, context):
            self.calls += 1
            return [self.answer(at, row, len(data), context) for at, row in enumerate(data)]

        def answer(self, at, row, size, context):
            do = row.get("body")
            if not isinstance(do, dict):
                return do
            if "kill" in do:
                os.kill(os.getpid(), signal.SIGKILL)
            if "sleep" in do:
                time.sleep(do["sleep"])
            if "refuse" in do:
                raise PredictionException("too large", 413)
            if "status" in do:
                context.set_response_status(418, "Teapot", at)
                context.set_response_header(at, "X-Mine", "yes")
                context.set_response_content_type(at, "text/plain")
                return "short and stout"
            if "parts" in do:
                for part in range(do["parts"]):
                    parts = [f"{part};"] * size
                    send_intermediate_predict_response(parts, {at: ""}, "", 200, context)
                return "end"
            if "metric" in do:
                context.metrics.add_counter("Digits", 3, at)
            if "log" in do:
                logging.getLogger(__name__).warning("a word")
            return {"n": do.get("n"), "size": size, "pid": os.getpid(),
                    "path": context.get_request_header(at, "url_path")}
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "handler.py").write_text(textwrap.dedent(HANDLER))
    archive = make_archive(folder, handler=folder / "handler.py", model_name="served")
    return Recipe(source=archive, device="cpu").prepare()


def ask(n=None, **do):
    body = json.dumps({"n": n, **do}).encode()
    headers = {"url_path": "a/b", "explain": "False"}
    return Request(str(n), headers, body, "application/json")


def serving(prepared, act, **options):
    """Start a worker, act, and close it."""

    async def all_of_it():
        worker = await AsyncWorker.start(prepared, **options)
        try:
            return await act(worker)
        finally:
            await worker.close(10)

    return asyncio.run(all_of_it())


def test_calls_share_a_worker_and_keep_their_answers(prepared):
    async def act(worker):
        calls = [worker.run([ask(n), ask(-n)]) for n in range(50)]
        assert await worker.describe() == {"calls": 0}
        found = await asyncio.gather(*calls)
        assert await worker.describe() == {"calls": 50}
        assert worker.pending == 0
        return found, worker

    found, worker = serving(prepared, act)
    for n, (first, second) in enumerate(found):
        assert first.json
        assert (first.status, first.content_type) == (200, None)
        said = json.loads(first.body)
        assert said == {"n": n, "size": 2, "pid": worker.pid, "path": "a/b"}
        assert json.loads(second.body)["n"] == -n
        assert b'\n  "size": 2' in first.body
    assert found[0].seconds["inference"] > 0
    assert worker.ready.model_name == "served"
    assert not worker.alive


def test_one_bad_request_fails_alone(prepared):
    async def act(worker):
        return await worker.run([ask(0), ask(1, refuse=1), ask(2, status=1), ask(3)])

    good, bad, teapot, last = serving(prepared, act)
    assert json.loads(good.body)["n"] == 0
    assert (bad.status, bad.public, bad.body) == (413, "too large", b"")
    assert bad.failure.type == "PredictionException"
    assert (teapot.status, teapot.phrase, teapot.body) == (418, "Teapot", b"short and stout")
    assert (teapot.content_type, teapot.headers["X-Mine"]) == ("text/plain", "yes")
    assert json.loads(last.body)["n"] == 3


def test_parts_come_as_they_are_made(prepared):
    async def act(worker):
        parts = []
        (reply,) = await worker.run(
            [ask(parts=3)], on_part=lambda at, part: parts.append((at, part))
        )
        (collected,) = await worker.run([ask(parts=2)])
        return parts, reply, collected

    parts, reply, collected = serving(prepared, act)
    assert parts == [(0, b"0;"), (0, b"1;"), (0, b"2;")]
    assert (reply.body, reply.parts) == (b"end", ())
    assert reply.headers["ts_stream_next"] == "true"
    assert (collected.parts, collected.body) == ((b"0;", b"1;"), b"end")


def test_what_a_handler_prints_logs_and_measures_arrives(prepared):
    lines, metrics = [], []

    async def act(worker):
        await worker.run([ask(7, metric=1, log=1)])

    serving(prepared, act, on_log=lines.append, on_metric=metrics.append)
    assert "initialized" in lines
    assert lines[-1] == "torn down"
    assert any("a word" in line for line in lines)
    (metric,) = [metric for metric in metrics if metric.name == "Digits"]
    assert (metric.value, metric.type, metric.request_id) == (3.0, MetricTypes.COUNTER, "7")


def test_a_deadly_request_is_found_and_the_others_are_answered(prepared):
    """As a server does it: what `again` gives runs in the next worker, until all are answered."""

    async def act():
        waiting = [[ask(n, **({"kill": 1} if n == 5 else {})) for n in range(8)], [ask(100)]]
        alone = False
        answers = {}
        workers = 0
        while waiting:
            worker = await AsyncWorker.start(prepared)
            workers += 1
            given = [waiting.pop(0)] if alone else waiting[:2]
            if not alone:
                del waiting[:2]
            found = await asyncio.gather(
                *(worker.run(requests) for requests in given), return_exceptions=True
            )
            for requests, answer in zip(given, found, strict=True):
                if not isinstance(answer, WorkerDied):
                    answers.update(zip((r.id for r in requests), answer, strict=True))
                elif again := answer.again(requests):
                    waiting, alone = [*again, *waiting], answer.alone
                else:
                    answers[requests[0].id] = answer.reply()
            worker.kill()
            await worker.ended()
        return answers

    answers = asyncio.run(act())
    assert set(answers) == {*map(str, range(8)), "100"}
    assert (answers["5"].status, answers["5"].public) == (507, "Worker died.")
    assert all(answer.status == 200 for name, answer in answers.items() if name != "5")


def test_a_late_worker_is_ended_with_its_reason(prepared):
    async def act(worker):
        call = asyncio.ensure_future(worker.run([ask(1, sleep=600)]))
        waits = asyncio.ensure_future(worker.run([ask(2)]))
        await asyncio.sleep(0.5)
        worker.kill(late=0.5)
        with pytest.raises(WorkerDied, match=r"no answer within 0\.5 s"):
            await call
        with pytest.raises(WorkerDied) as second:
            await waits
        assert second.value.again([2]) == [[2]]
        assert not second.value.alone
        with pytest.raises(WorkerDied):
            await worker.run([ask(3)])
        return call.exception()

    error = serving(prepared, act)
    assert error.again([1]) == []
    assert error.reply().failure.type == "TimeoutError"


def test_plain_values_in_place_of_bodies(prepared):
    async def act(worker):
        return await worker.run([ask(1), Request("x", {}, row={"body": b"\x00"})])

    first, second = serving(prepared, act, body=False)
    assert (first.value["n"], first.body) == (1, b"")
    assert second.value == {"base64": "AA=="}


def test_what_cannot_be_loaded_says_why(tmp_path):
    (tmp_path / "h.py").write_text("import not_there\ndef handle(data, context): ...\n")
    archive = make_archive(tmp_path, handler=tmp_path / "h.py")
    with pytest.raises(HandlerError, match="not_there"):
        asyncio.run(AsyncWorker.start(Recipe(source=archive)))


@pytest.mark.parametrize(
    ("line", "options", "says"),
    [
        ("import os; os._exit(9)", {}, "ended with exit code 9"),
        ("import time; time.sleep(600)", {"startup_timeout": 1.0}, "no answer within 1 s"),
    ],
)
def test_a_worker_that_does_not_start(tmp_path, line, options, says):
    (tmp_path / "h.py").write_text(f"{line}\ndef handle(data, context): ...\n")
    archive = make_archive(tmp_path, handler=tmp_path / "h.py")
    with pytest.raises(WorkerDied, match=says):
        asyncio.run(AsyncWorker.start(Recipe(source=archive), **options))


def test_a_worker_ends_with_its_parent(tmp_path):
    """Whatever ends the parent, and though the worker is deep in a call."""
    (tmp_path / "h.py").write_text(
        "import time, os\ndef handle(data, context):\n    if data is None: return\n"
        "    print('pid', os.getpid(), flush=True)\n    time.sleep(600)\n"
    )
    archive = make_archive(tmp_path, handler=tmp_path / "h.py")
    (tmp_path / "parent.py").write_text(
        "import asyncio\nfrom pathlib import Path\nfrom mar_core import *\n"
        "async def main():\n"
        f"    recipe = Recipe(source=Path({str(archive)!r}))\n"
        "    worker = await AsyncWorker.start(recipe, on_log=lambda s: print(s, flush=True))\n"
        "    await worker.run([Request('1', {}, b'x')])\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "parent.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline().split()[1])
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the worker lives on")


def test_a_request_that_is_forgotten_before_its_call_begins_is_not_run(prepared, tmp_path):
    async def main():
        worker = await AsyncWorker.start(prepared)
        first = worker.call([ask(0, sleep=1.0)], on_part=print)
        requests = [ask(1), ask(2), ask(3)]
        second, third = (worker.call(some, on_part=print) for some in (requests, [ask(4)]))
        second.forget(requests[1])
        third.forget(third._requests[0])
        third.forget(ask(5))  # of another call: nothing
        calls = [await one for one in (first, second, third)]
        calls.append(await worker.run([ask(6)]))
        described = await worker.describe()
        second.forget(requests[0])  # it has been answered
        await worker.close()
        return calls, described

    (_, second, third, last), described = asyncio.run(main())
    assert [reply.failure is None for reply in second] == [True, False, True]
    assert [json.loads(reply.body)["size"] for reply in (second[0], second[2], last[0])] == [
        2,
        2,
        1,
    ]
    assert second[1].failure.type == third[0].failure.type == "Forgotten"
    assert described == {"calls": 3}  # the third was not run at all


def test_a_worker_that_has_ended_holds_nothing_open(prepared):
    import psutil

    async def main():
        me, workers, counts = psutil.Process(), [], []
        for _ in range(3):
            worker = await AsyncWorker.start(prepared)
            workers.append(worker)
            await worker.run([ask(1)])
            await worker.close()
            await asyncio.sleep(0)  # what it was asked through is closed in the loop's next turn
            counts.append(me.num_fds())
        return counts

    first, *others = asyncio.run(main())
    assert others == [first, first]
