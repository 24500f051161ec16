"""Results as JSON."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import io
import json
import math
import uuid
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mar_core import Failure, HandlerError, Outcome, Response
from mar_core.runtime.values import plain, to_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@dataclasses.dataclass
class Box:
    label: str
    corner: tuple[int, int]


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Label(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: int


@given(JSON)
def test_json_stays_as_it_is(value):
    assert to_json(value) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"),
        ((1, 2), [1, 2]), ({3, 1, 2}, [1, 2, 3]), (Point(1, 2), [1, 2]),
        (collections.deque([1]), [1]),
        ({1: "a", None: 2, 1.5: 3}, {"1": "a", "null": 2, "1.5": 3}),
        (Box("cat", (1, 2)), {"label": "cat", "corner": [1, 2]}),
        (Colour.RED, "red"), (Level.LOW, 1), ({Colour.RED: 1}, {"red": 1}), (Label("x"), "x"),
        (dt.date(2026, 1, 2), "2026-01-02"), (decimal.Decimal("1.10"), "1.10"),
        (fractions.Fraction(1, 2), 0.5), (PurePosixPath("a/b"), "a/b"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True), (np.str_("x"), "x"),
        (np.array(3), 3), (np.array([[1, 2]]), [[1, 2]]), (np.array([1.0, math.nan]), [1.0, "NaN"]),
        (np.array(["a", None], dtype=object), ["a", None]), ({np.int64(3): 1}, {"3": 1}),
        (torch.tensor(3), 3), (torch.tensor([1.5, math.inf]), [1.5, "Infinity"]),
        (torch.tensor([1.0], dtype=torch.bfloat16, requires_grad=True), [1.0]),
        (torch.zeros(0), []), (torch.eye(1).to_sparse(), [[1.0]]),
        (b"\xff", {"base64": "/w=="}), (bytearray(b"a"), "a"),
        (b'{"a": [1]}', {"a": [1]}), (b"[1", "[1"), (b"12", "12"), (b"a\x00", {"base64": "YQA="}),
    ],
)  # fmt: skip
def test_what_handlers_return(value, written):
    found = to_json({"x": [value]})["x"][0]
    assert found == written
    assert type(found) is type(written)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "HSV"]
)
def test_pictures(mode):
    picture = Image.new(mode, (3, 2))
    content = base64.b64decode(to_json(picture)["base64"])
    back = Image.open(io.BytesIO(content))
    assert back.size == (3, 2)


def endless():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ((x for x in "ab"), "The handler's result.0 is of type generator,"),
        (lambda: 1, "The handler's result.0 is of type function,"),
        (1j, "The handler's result.0 is of type complex,"),
        (np.complex64(1), "The handler's result.0 is of type complex,"),
        (Box, "The handler's result.0 is of type type,"),
        (torch.nn.Identity(), "is of type torch.nn.modules.linear.Identity,"),
        ({"a": {"b": object()}}, "The handler's result.0.a.b is of type object,"),
        ({(1, 2): 3}, "The handler's result.0 has a key of type tuple,"),
        ({1: "a", "1": "b"}, "The handler's result.0 has several keys that JSON writes as '1',"),
        ({True: 1, "true": 2}, "has several keys that JSON writes as 'true',"),
        (endless(), "The handler's result is nested more than 64 levels deep,"),
        (torch.zeros(2, dtype=torch.complex64), "The handler's result.0.0 is of type complex,"),
        (torch.zeros(2, device="meta"), "The handler's result.0 is a tensor without numbers,"),
    ],
)
def test_what_cannot_be_written_down(value, where):
    with pytest.raises(HandlerError) as caught:
        to_json([value])
    assert where in str(caught.value)
    assert "Return text, numbers, lists, dicts" in str(caught.value)
    assert caught.value.stage == "result"


def outcome(**more):
    return Outcome(index=0, id="x", **more)


def test_an_outcome_that_cannot_be_written_down_becomes_a_failure():
    bad = plain(outcome(result=object(), streamed=("a",)))
    assert bad.result is None
    assert bad.streamed == ()
    assert (bad.failure.stage, bad.failure.type, bad.failure.code) == ("result", "TypeError", 503)
    assert plain(outcome(result=1, streamed=(object(),))).failure.stage == "result"


def test_a_failure_stays_one():
    failed = outcome(failure=Failure(stage="read", type="InputError", message="no"))
    assert plain(failed) is failed


@pytest.mark.parametrize("kind", ["text/plain", "text/html; charset=utf-8", "application/json"])
def test_bytes_that_the_handler_calls_text(kind):
    said = Response(content_type=kind)
    assert plain(outcome(result="é".encode(), response=said, streamed=(b"a",))) == outcome(
        result="é", response=said, streamed=("a",)
    )
    assert plain(outcome(result=b"\xff", response=said)).result == {"base64": "/w=="}
    png = outcome(result=b"\x89PNG", response=Response(content_type="image/png"))
    assert plain(png).result == {"base64": "iVBORw=="}


def test_what_saves_is_told_where():
    told = []

    def save(name):
        return lambda value, where: told.append((name, where, type(value).__name__))

    value = {
        "a": [torch.zeros(2), b"x"],
        "b": np.zeros(1),
        "c": torch.tensor(1),
        "d": np.float32(1),
    }
    plain(outcome(result=value, streamed=(b"y",)), save=save)
    assert told == [
        ("x", "result.a.0", "Tensor"), ("x", "result.a.1", "bytes"), ("x", "result.b", "ndarray"),
        ("x", "streamed.0", "bytes"),
    ]  # fmt: skip
