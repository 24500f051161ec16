"""The messages of TorchServe's workers: byte for byte as its own module writes and reads them."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import struct
import sys
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mar_core import Context, PredictionException
from mar_core.ts import compat
from mar_core.ts import otf_message_handler as ours
from mar_core.ts.async_service import AsyncService
from mar_core.ts.context import RequestProcessor, begin_batch
from mar_core.ts.metrics import MetricsCache
from mar_core.ts.service import Service
from mar_core.ts.streaming import send_intermediate_predict_response

IDS = {0: "first", 1: "zweiter ü"}


@pytest.fixture(scope="module")
def theirs():
    """TorchServe's own module."""
    compat.install_finder()
    path = Path(sys.prefix, "torchserve", "ts", "protocol", "otf_message_handler.py")
    spec = importlib.util.spec_from_file_location("real_otf", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def context_of(**more):
    context = Context("m", None, {}, 2, None, "", metrics=MetricsCache("m"))
    begin_batch(context, IDS.values(), [{}, {}])
    vars(context).update(more)
    return context


@pytest.mark.parametrize(
    "results",
    [
        [b"bytes", bytearray(b"array")],
        ["text ü", ""],
        [{"a": [1, 2.5, None]}, [True]],
        [torch.arange(3), 1],
        [object(), 1],
        None,
    ],
)
@pytest.mark.parametrize("following", [False, True])
def test_answers_are_written_as_torchserve_writes_them(theirs, results, following):
    for make in (lambda: None, context_of):
        if make() is None and following:
            continue
        mine, real = make(), make()
        arguments = (results, IDS, "Prediction success", 200)
        assert ours.create_predict_response(
            *arguments, mine, following
        ) == theirs.create_predict_response(*arguments, real, following)


def test_statuses_headers_and_more_to_follow(theirs):
    def prepared():
        context = context_of(stopping_criteria=[lambda _: True, lambda _: False])
        context.set_response_status(507, "no", 1)
        context.set_response_content_type(0, "text/plain")
        context.set_response_header(1, "X-Ü", "ä")
        return context

    arguments = (["a", "b"], IDS, "done", 200)
    mine = ours.create_predict_response(*arguments, prepared())
    assert mine == theirs.create_predict_response(*arguments, prepared())
    odd = context_of()  # TorchServe counts characters here, and its server loses its place
    odd.set_response_status(507, "ü", 0)
    assert number(507) + sized("ü".encode()) in ours.create_predict_response(*arguments, odd)
    last, real = context_of(), context_of()
    for context in (last, real):
        context.set_response_header(0, "ts_stream_next", "true")
    assert ours.create_predict_response(*arguments, last) == theirs.create_predict_response(
        *arguments, real
    )
    assert last.get_response_headers(0) == {"ts_stream_next": "false"}


def test_other_processes_of_a_group_write_nothing(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert ours.create_predict_response(["a"], {0: "i"}, "", 200) is None


def test_load_responses(theirs):
    assert ours.create_load_model_response(200, "ü") == theirs.create_load_model_response(200, "ü")


class Wire:
    """A socket that gives what was put in, in pieces."""

    def __init__(self, content, size=3):
        self.content, self.size = content, size

    def recv(self, length):
        piece = self.content[: min(length, self.size)]
        self.content = self.content[len(piece) :]
        return piece


def number(value):
    return struct.pack("!i", value)


def sized(value):
    return number(len(value)) + value


def request(name, headers, parameters):
    head = b"".join(sized(key) + sized(value) for key, value in headers)
    body = b"".join(sized(key) + sized(kind) + sized(value) for key, kind, value in parameters)
    return sized(name) + head + number(-1) + body + number(-1)


small = st.binary(max_size=6)
text = st.text(max_size=6).map(str.encode)
kinds = st.sampled_from([b"application/json", b"text/plain", b"text", b"image/png", b""])
values = st.one_of(small, st.sampled_from([b'{"a": 1}', b"[1", "ü".encode(), b"\xff", b"NaN"]))


@given(
    requests=st.lists(
        st.tuples(
            small, st.lists(st.tuples(small, small)), st.lists(st.tuples(text, kinds, values))
        ),
        max_size=3,
    ),
    decode=st.sampled_from([None, "true", "false"]),
)
@settings(max_examples=60, deadline=None)
def test_requests_are_read_as_torchserve_reads_them(theirs, requests, decode):
    message = b"I" + b"".join(request(*one) for one in requests) + number(-1)
    with pytest.MonkeyPatch.context() as patch:
        if decode is not None:
            patch.setenv("TS_DECODE_INPUT_REQUEST", decode)
        mine, real = ours.retrieve_msg(Wire(message)), theirs.retrieve_msg(Wire(message))
    assert repr(mine[1]) == repr(real[1])  # NaN is not equal to itself
    assert mine[0] == real[0]


@pytest.mark.parametrize("gpu", [-1, 3])
def test_what_to_load_is_read_as_torchserve_reads_it(theirs, gpu):
    parts = [sized(b"m"), sized(b"/m"), number(4), sized(b"h.py"), number(gpu), sized(b"json")]
    message = b"L" + b"".join(parts) + b"\x01"
    assert ours.retrieve_msg(Wire(message)) == theirs.retrieve_msg(Wire(message))


def test_another_message_and_a_closed_connection():
    with pytest.raises(ValueError, match="Invalid command: b'U'"):
        ours.retrieve_msg(Wire(b"U"))
    with pytest.raises(SystemExit):
        ours.retrieve_msg(Wire(b"L\0\0"))


def test_a_part_goes_through_the_socket_of_a_worker(theirs):
    here, there = socket.socketpair()
    with here, there:
        context = context_of(cl_socket=here)
        send_intermediate_predict_response(["a", "b"], IDS, "part", 200, context)
        expected = theirs.create_predict_response(["a", "b"], IDS, "part", 200, context_of(), True)
        assert there.recv(1000) == expected


# --- asynchronous workers


async def meeting(data, context):
    """Answers a request that says `wait` only after one that says `go`."""
    said = data[0]["body"]
    if said == "wait":
        await EVENT.wait()
    elif said == "go":
        EVENT.set()
    elif said == "refuse":
        raise PredictionException("not so", 418)
    elif said == "memory":
        raise MemoryError
    elif said == "cuda":
        raise RuntimeError("CUDA error")
    elif said == "fail":
        raise ValueError
    elif said == "odd":
        return "odd"
    elif said == "few":
        return []
    return [f"{said} {context.get_request_id(0)}"]


EVENT = asyncio.Event()


def asked(service_socket, words):
    parts = [
        request(word.encode(), [], [(b"body", b"text/plain", word.encode())]) for word in words
    ]
    for part in parts:
        service_socket.sendall(b"I" + part + number(-1))


@pytest.fixture
def service():
    service = object.__new__(Service)
    service._context = Context("m", None, {}, 1, None, "", metrics=MetricsCache("m"))
    service._entry_point = meeting
    return service


def collected(there):
    content = b""
    while piece := there.recv(65536):
        content += piece
    return content


def test_an_asynchronous_worker_answers_each_batch_when_it_is_done(service):
    EVENT.clear()
    here, there = socket.socketpair()
    service.set_cl_socket(here)
    result = []
    worker = threading.Thread(target=lambda: result.append(AsyncService(service).run()))
    worker.start()
    words = ["wait", "go", "refuse", "memory", "cuda", "fail", "odd", "few"]
    asked(there, words)
    there.shutdown(socket.SHUT_WR)
    worker.join(30)
    here.close()
    content = collected(there)
    there.close()
    assert result == [None]
    assert content.index(b"go go") < content.index(b"wait wait")

    def answer(word, message, code, value):
        return ours.create_predict_response(value, {0: word}, message, code, *fresh(value))

    def fresh(value):
        context = Context("m", None, {}, 1, None, "")
        context.request_processor = [RequestProcessor({})]
        return [context] if value is not None else []

    for expected in (
        answer("wait", "Prediction success", 200, ["wait wait"]),
        answer("go", "Prediction success", 200, ["go go"]),
        answer("refuse", "not so", 418, None),
        answer("memory", "Out of resources", 507, None),
        answer("cuda", "Out of resources", 507, None),
        answer("fail", "Prediction failed", 503, None),
        answer("odd", "Invalid model predict output", 503, None),
        answer("few", "number of batch response mismatched", 503, None),
    ):
        assert bytes(expected) in content


def test_an_asynchronous_worker_says_what_went_wrong(service):
    here, there = socket.socketpair()
    with here, there:
        service.set_cl_socket(here)
        there.sendall(b"?")
        assert "Invalid command" in AsyncService(service).run()
