"""Continuous batching: requests join and leave between the steps of a handler."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import serving
import serving_handlers as handlers

# Counts down from a number, a step at a time; says of each step who was in it.
COUNTDOWN = """
import json, os, time
from ts.torch_handler.base_handler import BaseHandler

class Countdown(BaseHandler):
    def initialize(self, context):
        context.cache = {}
        self.context = context
        self.initialized = True

    def preprocess(self, data):
        ids = list(self.context.request_ids.values())
        for gone in set(self.context.cache) - set(ids):
            print("forgot", gone, flush=True)
            del self.context.cache[gone]
        for name, row in zip(ids, data):
            if name not in self.context.cache:
                asked = row["body"]
                self.context.cache[name] = {"left": int(asked["from"]), "asked": asked}
        return ids

    def inference(self, ids):
        time.sleep(0.05)
        results = []
        for name in ids:
            state = self.context.cache[name]
            if state["asked"].get("die"):
                os._exit(3)
            if state["asked"].get("break") == state["left"]:
                raise ValueError("broken " + name)
        for name in ids:  # a step that fails has counted nothing
            state = self.context.cache[name]
            state["left"] -= 1
            results.append({"left": state["left"], "with": len(ids)})
        return results

    def postprocess(self, results):
        self.context.stopping_criteria = [
            self.criterion(name) for name in self.context.request_ids.values()
        ]
        return results

    def criterion(self, name):
        def done(result):
            if result["left"] <= 0:
                del self.context.cache[name]
                return True
            return False
        return done
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("continuous")
    settings = {"continuousBatching": True, "batchSize": 4, "maxBatchDelay": 5000}
    plain = handlers.make(folder, "count", COUNTDOWN, **settings)
    short = handlers.make(folder, "short", COUNTDOWN, **settings, clientTimeoutInMills=700)
    slow = handlers.make(folder, "echo", clientTimeoutInMills=500)
    sequences = {"sequenceBatching": True, "maxNumSequence": 4, "maxSequenceJobQueueSize": 5}
    both = handlers.make(folder, "both", COUNTDOWN, **settings, **sequences)
    with serving.running(plain, short, slow, both, folder=folder) as running:
        yield running


def ask(server, number, *, model="count", sequence=None, **more):
    """The pieces of an answer, and when the last of them came."""
    headers = {} if sequence is None else {"ts_request_sequence_id": sequence}
    with server.client(headers=headers) as client:
        answer = client.post(f"/predictions/{model}", json={"from": number, **more})
    text = answer.text.replace("\n", "")
    pieces = [json.loads(piece + "}") for piece in text.split("}") if piece.strip()]
    return answer.status_code, pieces, time.monotonic()


def test_a_request_joins_those_that_go_on_and_leaves_before_them(server):
    with ThreadPoolExecutor(3) as pool:
        long = pool.submit(ask, server, 30)
        time.sleep(0.4)
        short = pool.submit(ask, server, 3)
        (status, pieces, ended), (other_status, others, other_ended) = short.result(), long.result()
    assert (status, other_status) == (200, 200)
    assert [piece["left"] for piece in pieces] == [2, 1, 0]
    assert [piece["left"] for piece in others] == list(range(29, -1, -1))
    assert {piece["with"] for piece in pieces} == {2}
    assert [piece["with"] for piece in others].count(2) == 3
    assert ended < other_ended


def test_no_more_than_fit_go_on_at_once(server):
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: ask(server, 4), range(10)))
    assert {status for status, _, _ in answers} == {200}
    seen = [piece["with"] for _, pieces, _ in answers for piece in pieces]
    assert (max(seen), len(seen)) == (4, 40)


def test_who_breaks_the_step_of_joining_fails_alone(server):
    with ThreadPoolExecutor(4) as pool:
        long = pool.submit(ask, server, 20)
        time.sleep(0.3)
        asked = [{}, {"break": 3}, {}]
        joined = list(pool.map(lambda more: ask(server, 3, **more), asked))
        status, pieces, _ = long.result()
    assert [one[0] for one in joined] == [200, 503, 200]
    assert [piece["left"] for piece in joined[2][1]] == [2, 1, 0]
    # Steps that failed were run again.
    assert (status, pieces[-1]["left"]) == (200, 0)


def test_of_a_sequence_one_at_a_time_goes_on_and_sequences_join_each_other(server):
    with ThreadPoolExecutor(3) as pool:
        asked = [("a", 12), ("a", 3), ("b", 4)]
        answers = [
            pool.submit(ask, server, number, model="both", sequence=name) for name, number in asked
        ]
        found = [answer.result() for answer in answers]
    assert {status for status, _, _ in found} == {200}
    assert [len(pieces) for _, pieces, _ in found] == [12, 3, 4]
    assert max(piece["with"] for _, pieces, _ in found for piece in pieces) == 2


def test_what_cannot_be_read_fails_alone(server):
    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(ask, server, 12)
        time.sleep(0.2)
        kind = {"content-type": "multipart/form-data; boundary=x"}
        with server.client() as client:
            answer = client.post("/predictions/count", content=b"no form", headers=kind)
        assert answer.status_code >= 400
        assert long.result()[1][-1]["left"] == 0


def test_a_client_that_goes_is_in_no_more_steps(server):
    with server.client() as client:
        with client.stream("POST", "/predictions/count", json={"from": 400}) as answer:
            name = answer.headers["x-request-id"]
            next(answer.iter_raw())
        status, pieces, _ = ask(server, 30)
    assert status == 200
    assert pieces[-1]["with"] == 1
    server.wait_for(f"forgot {name}")


def test_a_worker_that_dies_takes_along_who_had_pieces_already(server):
    with ThreadPoolExecutor(2) as pool:
        streamed = threading.Event()

        def long():
            with (
                server.client() as client,
                client.stream("POST", "/predictions/count", json={"from": 300}) as answer,
            ):
                for _ in answer.iter_raw():
                    streamed.set()

        going = pool.submit(long)
        assert streamed.wait(60)
        assert ask(server, 1, die=True)[0] == 500
        with pytest.raises(Exception, match=r"peer closed|incomplete"):
            going.result()
    assert ask(server, 2)[0] == 200


def test_a_deadline_ends_a_request_that_is_under_way(server):
    start = time.monotonic()
    with server.client() as client:
        text = {"content-type": "text/plain"}
        answer = client.post("/predictions/echo", content="sleep15", headers=text)
        assert answer.status_code == 408
        assert "not answered before its deadline" in answer.text
        assert time.monotonic() - start < 15  # the handler has not come back
        with pytest.raises(Exception, match=r"peer closed|incomplete"):
            client.post("/predictions/short", json={"from": 500})
    assert ask(server, 2, model="short")[0] == 200
