"""A server's life: ready, swapped, hurt, and ended, with no request lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time

import httpx
import psutil
import pytest
import serving
import serving_handlers as handlers

TEXT = {"content-type": "text/plain"}


class Asking:
    """A client that asks again and again in the background, and keeps what it was told."""

    def __init__(self, server, path="/predictions/echo"):
        self.answers = []
        self._server, self._path = server, path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()

    def _ask(self):
        with self._server.client() as client:
            while not self._stop.is_set():
                answer = client.post(self._path, content="x", headers=TEXT)
                self.answers.append((answer.status_code, answer.text))


@pytest.fixture
def echo(tmp_path):
    return handlers.make(tmp_path, "echo")


def test_what_was_taken_is_answered_before_the_end(echo, tmp_path):
    with serving.running(echo, folder=tmp_path) as server:
        workers = [worker["pid"] for worker in server.workers("echo")]
        found = []

        def ask():
            with server.client() as client:
                found.append(client.post("/predictions/echo", content="sleep1.5", headers=TEXT))

        asking = threading.Thread(target=ask)
        asking.start()
        serving.eventually(lambda: _busy(server))
        assert server.end() == 0
        asking.join()
        assert found[0].json()["value"] == "sleep1.5"
        serving.eventually(lambda: not any(map(psutil.pid_exists, workers)))


def _busy(server):
    with server.client() as client:
        time.sleep(0.3)
        return client.get("/ping").status_code == 200


def test_the_grace_is_the_longest_that_the_end_takes(echo, tmp_path):
    with serving.running(echo, "--grace", "2", folder=tmp_path) as server:

        def ask():
            with server.client() as client, contextlib.suppress(httpx.TransportError):
                client.post("/predictions/echo", content="hang", headers=TEXT)

        asking = threading.Thread(target=ask)
        asking.start()
        serving.eventually(lambda: _busy(server))
        assert server.end(seconds=50) == 0  # its answer would take 1000 s
        asking.join()


def test_a_worker_that_is_killed_is_replaced_and_nobody_notices(echo, tmp_path):
    with serving.running(echo, folder=tmp_path) as server, Asking(server) as asking:
        before = server.workers("echo")[0]["pid"]
        os.kill(before, signal.SIGKILL)
        serving.eventually(lambda: _pids(server) and before not in _pids(server))
        seen = len(asking.answers)
        serving.eventually(lambda: len(asking.answers) > seen + 5)
    assert {status for status, _ in asking.answers} == {200}


def _pids(server):
    return [worker["pid"] for worker in server.workers("echo") if worker["status"] == "READY"]


def test_a_worker_that_hangs_is_replaced(echo, tmp_path):
    words = [echo, "--response-timeout", "1"]
    with serving.running(*words, folder=tmp_path) as server, server.client() as client:
        answer = client.post("/predictions/echo", content="hang", headers=TEXT)
        assert answer.status_code == 500
        assert answer.json()["message"] == "Worker died."
        assert client.post("/predictions/echo", content="x", headers=TEXT).status_code == 200


ENDS_WHILE_READING = """
import os, pickle

class Reader(pickle.Unpickler):
    def load(self):
        found = super().load()
        if "a request that nobody can read" in repr(found):
            os._exit(3)
        return found

pickle.Unpickler = Reader

def handle(data, context):
    return [str(os.getpid()) for _ in data or []]
"""


def test_a_request_whose_worker_dies_before_it_begins_has_an_end(tmp_path):
    made = handlers.make(tmp_path, "reads", ENDS_WHILE_READING)
    with serving.running(made, folder=tmp_path) as server, server.client() as client:
        path = "/predictions/reads"
        before = client.post(path, content="x", headers=TEXT).text
        poison = "a request that nobody can read"
        answer = client.post(path, content=poison, headers=TEXT, timeout=120)
        assert (answer.status_code, answer.json()["message"]) == (500, "Worker died.")
        after = client.post(path, content="x", headers=TEXT, timeout=120)
    assert after.status_code == 200
    assert after.text != before


def test_workers_are_replaced_after_so_many_requests(echo, tmp_path):
    words = [echo, "--max-requests", "20"]
    with serving.running(*words, folder=tmp_path) as server, Asking(server) as asking:
        server.wait_for("replacing the worker", count=2)
    assert {status for status, _ in asking.answers} == {200}
    assert server.process.returncode == 0 or server.process.returncode is None


def test_workers_that_use_too_much_memory_are_replaced(echo, tmp_path):
    words = [echo, "--max-memory", "1MB"]
    with serving.running(*words, folder=tmp_path) as server, Asking(server) as asking:
        server.wait_for("MiB")
        serving.eventually(lambda: len(asking.answers) > 5)
    assert {status for status, _ in asking.answers} == {200}


def test_a_hangup_swaps_the_version_with_no_failed_request(echo, tmp_path):
    with serving.running(echo, folder=tmp_path) as server, Asking(server) as asking:
        serving.eventually(lambda: len(asking.answers) > 5)
        fresh = handlers.make(tmp_path / "new", "echo", version="2.0")
        fresh.rename(echo)
        server.process.send_signal(signal.SIGHUP)
        serving.eventually(lambda: '"version": "2.0"' in asking.answers[-1][1])
    assert {status for status, _ in asking.answers} == {200}


def test_what_is_broken_goes_on_as_it_was(echo, tmp_path):
    with serving.running(echo, folder=tmp_path) as server:
        echo.write_bytes(b"no archive")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("goes on as it was")
        with server.client() as client:
            assert client.post("/predictions/echo", content="x", headers=TEXT).status_code == 200
            assert client.get("/ping").status_code == 200


def test_sources_are_loaded_again_when_a_file_is_saved(tmp_path):
    handler = tmp_path / "h.py"
    handler.write_text("def handle(data, context):\n    return data and ['first'] * len(data)\n")
    words = ["--handler", handler, "--model-name", "mine", "--watch"]
    with serving.running(*words, folder=tmp_path) as server, server.client() as client:
        assert client.get("/predictions/mine").text == "first"
        handler.write_text(
            "def handle(data, context):\n    return data and ['second'] * len(data)\n"
        )
        serving.eventually(lambda: client.get("/predictions/mine").text == "second")
        handler.write_text("def handle(data, context)\n")
        server.wait_for("goes on as it was")
        assert client.get("/predictions/mine").text == "second"


def test_not_ready_but_alive_while_a_model_loads(tmp_path):
    slow = handlers.ECHO.replace("if data is None:\n", "if data is None:\n        time.sleep(3)\n")
    model = handlers.make(tmp_path, "slow", slow)
    port = str(serving.free_ports(1)[0])
    words = [model, "--port", port]
    with serving.running(*words, folder=tmp_path, wait=False) as server:
        server.inference = f"http://127.0.0.1:{port}"
        with server.client() as client:
            serving.eventually(lambda: _answers(client))
            assert client.get("/v2/health/live").json() == {"live": True}
            assert client.get("/ping").status_code == 500
            assert client.get("/ping").json() == {"status": "Unhealthy"}
            assert client.get("/v2/health/ready").status_code == 503
            server.start()
            assert client.get("/ping").status_code == 200
            assert client.get("/v2/health/ready").json() == {"ready": True}


def _answers(client):
    try:
        return client.get("/v2/health/live").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("fault", ["missing", "sick", "port"])
def test_a_start_that_fails_says_so_in_a_sentence(tmp_path, fault, echo):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = {
            "missing": ["no.mar"],
            "sick": [handlers.make(tmp_path, "sick", handlers.SICK)],
            "port": [echo, "--port", taken.getsockname()[1]],
        }[fault]
        with serving.running(*words, folder=tmp_path, wait=False) as server:
            assert server.process.wait(60) == 2
            server.close()
    assert "mar: error: " in server.log
    assert "Traceback" not in server.log.rpartition("mar: error: ")[2]
