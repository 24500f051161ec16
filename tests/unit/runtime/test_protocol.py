"""What goes between a parent and its workers."""

from __future__ import annotations

import io
import pickle
import struct

import msgpack
import pytest

from mar_core import Failure, HandlerError, ModelError, Reply
from mar_core.runtime import protocol
from mar_core.runtime.protocol import ANSWER, CALL, Inbox, ProtocolError


def test_messages_arrive_in_any_pieces():
    messages = [[ANSWER, n, {"inference": 0.5}, None, [["x" * n]]] for n in range(40)]
    data = b"".join(protocol.from_worker([message, message]) for message in messages)
    for size in (1, 7, 100, len(data)):
        inbox, found = Inbox(), []
        for start in range(0, len(data), size):
            found += inbox.feed(data[start : start + size])
        assert found == [message for message in messages for _ in range(2)]


@pytest.mark.parametrize("value", [10**4000, -(10**30), "\ud800", {"1": [None, True, 0.5, b"x"]}])
def test_plain_values_arrive_as_they_were(value):
    (message,) = Inbox().feed(protocol.from_worker([[ANSWER, value]]))
    assert message[1] == value


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        pickle.dumps([1]),
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb(1),
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 2000,
    ],
    ids=["no value", "a pickle", "an extension", "no list", "a list that lies", "deep"],
)
def test_nothing_else_is_made_of_what_a_worker_sends(payload):
    with pytest.raises(ProtocolError):
        Inbox().feed(struct.pack("<Q", len(payload)) + payload)


def test_a_worker_reads_until_its_parent_is_gone():
    sent = protocol.to_worker([(CALL, 0, [("1", {}, {"data": {1, 2}})])]) * 2
    whole = list(protocol.frames(io.BytesIO(sent)))
    assert whole == [[(CALL, 0, [("1", {}, {"data": {1, 2}})])]] * 2
    assert len(list(protocol.frames(io.BytesIO(sent[:-3])))) == 1


def test_an_error_comes_as_what_it_was():
    error = HandlerError("No.", stage="load", handler="h", code=501, hint="Do.")
    (message,) = Inbox().feed(protocol.from_worker([protocol.refused(error)]))
    found = protocol.refused_with(message)
    assert (type(found), str(found)) == (HandlerError, "No. Do.")
    assert (found.stage, found.handler, found.code) == ("load", "h", 501)


def test_an_error_of_a_class_of_the_handler_s_comes_as_its_nearest_of_ours():
    class MineError(ModelError):
        pass

    assert type(protocol.refused_with(protocol.refused(MineError("x")))) is ModelError
    other = protocol.refused_with(protocol.refused(KeyError("x")))
    assert (type(other), other.message) == (
        HandlerError,
        "The archive cannot be loaded: KeyError: 'x'",
    )
    with pytest.raises(ProtocolError):
        protocol.refused_with([0, "OSError", "x", {}])


def test_replies():
    assert protocol.reply_of([5]) == Reply(value=5)
    body = [201, "", {"a": "b"}, "text/plain", b"x", False]
    assert protocol.reply_of(body) == Reply._make([*body, None, (), None])
    streamed = protocol.reply_of([200, "", {}, None, b"", False, None, [b"1"], 7])
    assert (streamed.parts, streamed.value) == ((b"1",), 7)
    fields = [503, "", {}, None, b"", False, ["result", "T", "no", 503, "", "Prediction"], [], None]
    reply = protocol.reply_of(fields)
    assert reply.failure == Failure(stage="result", type="T", message="no")
    assert reply.public == "Prediction"
    with pytest.raises(ProtocolError):
        protocol.reply_of([*fields[:6], "x", [], None])
    for count in (0, 2, 5, 7, 8):
        with pytest.raises(ProtocolError):
            protocol.reply_of(fields[:count])
