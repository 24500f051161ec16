"""The clients that people use against TorchServe, Triton and KServe, and ones that behave badly."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import serving
import serving_handlers as handlers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HERE = Path(__file__).parent
PACKAGES = Path(sys.prefix) / "clients"
SUMS = """
def handle(data, context):
    if data is None:
        return None
    explains = context.get_request_header(0, "explain") == "True"
    answers = []
    for row in data:
        value = row.get("data", row.get("body"))
        if isinstance(value, (str, bytes, bytearray)):
            text = value if isinstance(value, str) else bytes(value).decode()
            answers.append(text.upper())
        else:
            answers.append(value if explains else sum(value))
    return answers
"""
SLOW_STREAM = """
import time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    for piece in ("one ", "two "):
        send_intermediate_predict_response([piece], context.request_ids, "ok", 200, context)
        time.sleep(1)
    return ["three"]
"""
EVERYBODY = 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    sums = handlers.make(folder, "sums", SUMS, batchSize=8, maxBatchDelay=5, jobQueueSize=2000)
    echo = handlers.make(folder, "echo", batchSize=32, maxBatchDelay=5, jobQueueSize=2000)
    slow = handlers.make(folder, "slow", SLOW_STREAM)
    with serving.running(sums, echo, slow, folder=folder) as running:
        yield running


@pytest.fixture
def still_fine(server):
    """Whatever a client did: the others are answered, and nothing was a defect of ours."""
    yield
    with server.client() as client:
        text = {"content-type": "text/plain"}
        answer = client.post("/predictions/echo", content="after", headers=text)
        assert answer.json()["value"] == "after"
        assert client.get("/ping").status_code == 200
    assert server.process.poll() is None
    assert "could not be answered" not in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize("name", ["triton", "kserve"])
def test_a_real_client(server, name):
    if not PACKAGES.exists():
        pytest.skip("needs the clients that `make env` puts beside the environment")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / f"clients_{name}.py", server.inference],
        env={**os.environ, "PYTHONPATH": str(PACKAGES)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.strip() == "fine", done.stderr


def test_a_stream_is_read_as_it_comes(server):
    times, pieces = [], []
    with server.client() as client, client.stream("POST", "/predictions/slow") as answer:
        assert answer.headers["ts_stream_next"] == "true"
        for piece in answer.iter_text():
            times.append(time.monotonic())
            pieces.append(piece)
    assert "".join(pieces) == "one two three"
    assert len(pieces) == 3
    assert times[-1] - times[0] > 1.5


def test_a_thousand_connections_at_once(server, still_fine):
    host, port = server.inference.removeprefix("http://").split(":")

    async def one(number):
        body = str(number).encode()
        reader, writer = await asyncio.open_connection(host, int(port))
        head = "POST /predictions/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status = await reader.readline()
        length = 0
        while (line := await reader.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        answer = json.loads(await reader.readexactly(length))
        writer.close()
        await writer.wait_closed()
        return status, answer["value"]

    async def everybody():
        return await asyncio.gather(*map(one, range(EVERYBODY)))

    found = asyncio.run(everybody())
    assert [value for _, value in found] == [str(number) for number in range(EVERYBODY)]
    assert {status for status, _ in found} == {b"HTTP/1.1 200 OK\r\n"}


def connect(server):
    host, port = server.inference.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


HEAD = b"POST /predictions/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"


def test_clients_that_stop_in_the_middle_cost_others_nothing(server, still_fine):
    held = []
    for cut in (1, 20, len(HEAD), len(HEAD) + 10):
        for _ in range(20):
            one = connect(server)
            one.sendall((HEAD + b"x" * 10)[:cut])
            held.append(one)
    with server.client() as client:
        answer = client.post("/predictions/echo", content=b"now")
        assert answer.json()["value"] == "now"
    for one in held:
        one.close()


def test_clients_that_leave_before_the_answer_cost_others_nothing(server, still_fine):
    body = b"sleep0.05"
    head = b"POST /predictions/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
    for _ in range(50):
        with connect(server) as one:
            one.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


REQUESTS = st.one_of(
    st.binary(max_size=400),
    st.builds(
        lambda method, path, headers, body: (
            method + b" " + path + b" HTTP/1.1\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + body
        ),
        st.sampled_from([b"GET", b"POST", b"PUT", b"OPTIONS", b"HEAD", b"\x00", b"TRACE"]),
        st.one_of(
            st.sampled_from(
                [b"/predictions/echo", b"/v2/models/sums/infer", b"/ping", b"*", b"/%ff%00", b"//"]
            ),
            st.binary(min_size=1, max_size=60),
        ),
        st.lists(
            st.sampled_from(
                [
                    b"Host: 127.0.0.1", b"Content-Length: 5", b"Content-Length: -1",
                    b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Upgrade: websocket",
                    b"Content-Type: application/json", b"Content-Type: multipart/form-data",
                    b"Content-Encoding: gzip", b"Inference-Header-Content-Length: 99",
                    b"traceparent: 00-x", b"\xff\xfe: \x00", b"X: " + b"y" * 5000,
                ]
            ),
            max_size=6,
        ),
        st.binary(max_size=100),
    ),
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=REQUESTS)
def test_rubbish_is_refused_and_costs_others_nothing(server, still_fine, data):
    with connect(server) as one:
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := one.recv(65536):
            answer += piece
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    assert not answer.startswith(b"HTTP/1.1 500") or b"Traceback" not in answer


def test_httpx_over_many_connections_gets_its_own_answers(server):
    async def ask():
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(
            base_url=server.inference, limits=limits, timeout=60, trust_env=False
        ) as client:
            text = {"content-type": "text/plain"}
            posts = (
                client.post("/predictions/echo", content=str(number), headers=text)
                for number in range(300)
            )
            return [answer.json()["value"] for answer in await asyncio.gather(*posts)]

    assert asyncio.run(ask()) == [str(number) for number in range(300)]
