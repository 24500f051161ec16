"""Workers by load, and what happens when there is more of it than anybody can answer."""

from __future__ import annotations

import contextlib
import http.client
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import serving
import serving_handlers as handlers

TEXT = {"content-type": "text/plain"}


def ask(server, content="sleep0.4", path="/predictions/echo"):
    with server.client() as client:
        return client.post(path, content=content, headers=TEXT)


def test_workers_come_with_the_load_and_go_with_it(tmp_path):
    echo = handlers.make(tmp_path, "echo")
    words = [echo, "--workers", "1-3", "--idle-seconds", "1"]
    with serving.running(*words, folder=tmp_path) as server:
        assert len(server.workers("echo")) == 1
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: ask(server), range(40)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["pid"] for answer in answers}) > 1
        serving.eventually(lambda: len(server.workers("echo")) == 1)


def test_down_to_none_and_up_again_on_request(tmp_path):
    echo = handlers.make(tmp_path, "echo", minWorkers=0, maxWorkers=1)
    with serving.running(echo, "--idle-seconds", "0.5", folder=tmp_path) as server:
        assert server.workers("echo") == []
        assert ask(server, "x").json()["value"] == "x"
        assert len(server.workers("echo")) == 1
        serving.eventually(lambda: server.workers("echo") == [])
        assert ask(server, "y").json()["value"] == "y"


def test_a_full_queue_refuses_at_once_with_a_time_to_come_back(tmp_path):
    echo = handlers.make(tmp_path, "echo", jobQueueSize=2)
    with serving.running(echo, folder=tmp_path) as server:
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: ask(server, "sleep1"), range(12)))
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused
        assert {answer.status_code for answer in answers} == {200, 503}
        for answer in refused:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["type"] == "ServiceUnavailableException"
            assert 'Model "echo" has no worker' in answer.json()["message"]
            assert answer.headers.get("connection") != "close"


def test_who_is_refused_asks_again_over_the_same_connection(tmp_path):
    echo = handlers.make(tmp_path, "echo", useJobTicket=True)

    def take_its_time():
        while ask(server, "sleep2").status_code != 200:
            time.sleep(0.1)

    with serving.running(echo, folder=tmp_path) as server, ThreadPoolExecutor(1) as pool:
        busy = pool.submit(take_its_time)
        with contextlib.closing(http.client.HTTPConnection(server.inference[7:])) as connection:
            statuses, connections = [], set()
            while not busy.done() or statuses[-1:] != [200]:
                connection.request("POST", "/predictions/echo", b"x", TEXT)
                answer = connection.getresponse()
                assert answer.read()
                statuses.append(answer.status)
                assert connection.sock is not None
                connections.add(connection.sock.getsockname())
                time.sleep(0.1)
        busy.result()
    assert set(statuses) == {200, 503}
    assert len(connections) == 1


def test_a_job_ticket_is_for_an_idle_worker_only(tmp_path):
    echo = handlers.make(tmp_path, "echo", useJobTicket=True)
    with serving.running(echo, folder=tmp_path) as server:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: ask(server, "sleep1"), range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 503, 503, 503]
        assert ask(server, "x").status_code == 200


def test_a_request_whose_deadline_has_passed_is_not_run(tmp_path):
    echo = handlers.make(tmp_path, "echo", clientTimeoutInMills=500)
    with serving.running(echo, folder=tmp_path) as server:
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: ask(server, "sleep0.4"), range(3)))
        late = [answer for answer in answers if answer.status_code == 408]
        assert late
        assert late[0].json()["type"] == "RequestTimeoutException"
        assert ask(server, "x").status_code == 200


def test_a_request_whose_client_has_gone_is_not_run(tmp_path):
    source = handlers.ECHO.replace(
        "    answers = []", "    open('ran','a').write('x')\n    answers = []"
    )
    echo = handlers.make(tmp_path, "echo", source.replace("'ran'", repr(str(tmp_path / "ran"))))
    with serving.running(echo, folder=tmp_path) as server:
        with ThreadPoolExecutor(12) as pool:
            first = pool.submit(ask, server, "sleep3")
            time.sleep(0.7)

            def leave(_):
                with server.client(timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
                    client.post("/predictions/echo", content="x", headers=TEXT)

            list(pool.map(leave, range(8)))
            assert first.result().status_code == 200
        assert ask(server, "x").status_code == 200
        assert len((tmp_path / "ran").read_text()) <= 2 + 3  # what was with the worker already


def test_a_request_that_is_with_its_worker_is_not_run_when_its_client_has_gone(tmp_path):
    source = handlers.ECHO.replace(
        "    answers = []",
        """    for row in data:
        open("RAN", "ab").write(bytes(row["body"], "ascii") + b" ")
    while b"wait" in open("RAN", "rb").read() and not os.path.exists("GO"):
        time.sleep(0.01)
    answers = []""",
    )
    source = source.replace("RAN", str(tmp_path / "ran")).replace("GO", str(tmp_path / "go"))
    echo = handlers.make(tmp_path, "echo", source)
    with serving.running(echo, folder=tmp_path) as server, ThreadPoolExecutor(20) as pool:
        for _ in range(30):  # then it is known to be quick, and is given some ahead
            assert ask(server, "x").status_code == 200
        first = pool.submit(ask, server, "wait")
        serving.eventually(lambda: "wait" in (tmp_path / "ran").read_text())
        stays = pool.submit(ask, server, "stays")

        def leave(_):
            with server.client(timeout=1.0) as client, pytest.raises(httpx.ReadTimeout):
                client.post("/predictions/echo", content="gone", headers=TEXT)

        list(pool.map(leave, range(4)))
        assert ask(server, path="/ping", content="").status_code == 200
        (tmp_path / "go").touch()
        assert (first.result().status_code, stays.result().status_code) == (200, 200)
    assert (tmp_path / "ran").read_text().split()[30:] == ["wait", "stays"]


def test_sequences_stay_with_their_worker_and_in_order(tmp_path):
    # The first request of each takes a while, and a batch holds two: both workers are needed.
    source = """
import os
import time
SEEN = {}

def handle(data, context):
    if data is None:
        return None
    answers = []
    for at, row in enumerate(data):
        name = context.get_sequence_id(at)
        SEEN.setdefault(name, []).append(row["body"])
        if row["body"] == "a":
            time.sleep(1)
        if row["body"] == "end":
            context.set_response_header(at, "ts_request_sequence_end", "true")
        answers.append({"seen": SEEN[name], "pid": os.getpid(), "size": len(data)})
    return answers
"""
    config = {
        "sequenceBatching": True, "maxNumSequence": 4, "batchSize": 2, "minWorkers": 2,
        "maxWorkers": 2, "sequenceMaxIdleMSec": 60000, "maxSequenceJobQueueSize": 10,
    }  # fmt: skip
    model = handlers.make(tmp_path, "counts", source, **config)
    with serving.running(model, folder=tmp_path) as server:

        def sequence(name):
            with server.client() as client:
                headers = {**TEXT, "ts_request_sequence_id": name}
                words = ["a", "b", "c", "end"]
                return [
                    client.post("/predictions/counts", content=w, headers=headers).json()
                    for w in words
                ]

        with ThreadPoolExecutor(4) as pool:
            shown = list(pool.map(sequence, ["one", "two", "three", "four"]))
        for answers in shown:
            assert answers[-1]["seen"] == ["a", "b", "c", "end"]
            assert len({answer["pid"] for answer in answers}) == 1
        assert len({answers[0]["pid"] for answers in shown}) == 2
        with server.admin() as admin:
            (description,) = admin.get("/models/counts").json()
        assert description["stateful"] is True
