"""Tensors of the Open Inference Protocol, there and back."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mar_serve.errors import ServeError
from mar_serve.outputs import outputs_of
from mar_serve.tensors import flat, from_bytes, nested, shape_of, to_bytes

NUMPY = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
    "UINT64": np.uint64, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32,
    "INT64": np.int64, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}  # fmt: skip


@pytest.mark.parametrize("datatype", NUMPY)
def test_bytes_are_read_as_numpy_writes_them(datatype):
    values = np.arange(6).astype(NUMPY[datatype])
    assert from_bytes(values.tobytes(), datatype, "x") == values.tolist()


def test_brain_floats():
    wanted = [0.0, 1.0, -2.5, math.inf]
    raw = b"".join(struct.pack("<f", value)[2:] for value in wanted)
    assert from_bytes(raw, "BF16", "x") == wanted


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_strings_come_back(texts):
    assert from_bytes(to_bytes(texts, "BYTES"), "BYTES", "x") == texts


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1)), st.lists(st.floats(allow_nan=False)))
def test_numbers_come_back(whole, real):
    assert from_bytes(to_bytes(whole, "INT64"), "INT64", "x") == whole
    assert from_bytes(to_bytes(real, "FP64"), "FP64", "x") == real


@given(st.binary(max_size=40), st.sampled_from(["BYTES", "FP32", "FP16", "BF16", "INT64", "ODD"]))
def test_whatever_the_bytes_are_it_ends_in_values_or_a_refusal(raw, datatype):
    try:
        values = from_bytes(raw, datatype, "x")
    except ServeError as error:
        assert error.status == 400  # noqa: PT017 - either is fine
    else:
        assert isinstance(values, list)


@given(st.lists(st.integers(1, 4), max_size=4))
def test_shapes_come_back(shape):
    values = list(range(math.prod(shape)))
    made = nested(values, shape)
    assert flat(made) == values
    assert (shape_of(made) or []) == shape


def test_what_handlers_answer_becomes_tensors():
    def shown(values, wanted=None):
        return [(t.name, t.datatype, t.shape, t.values) for t in outputs_of(values, wanted, "x")]

    assert shown([1, 2]) == [("x", "INT64", [2], [1, 2])]
    assert shown([1, 2.5]) == [("x", "FP64", [2], [1.0, 2.5])]
    assert shown([[1, 2], [3, 4]]) == [("x", "INT64", [2, 2], [1, 2, 3, 4])]
    assert shown([[1], [2, 3]]) == [("x", "BYTES", [2], ["[1]", "[2, 3]"])]
    assert shown(["a", "b"]) == [("x", "BYTES", [2], ["a", "b"])]
    assert shown([True]) == [("x", "BOOL", [1], [True])]
    assert shown([{"cat": 0.5}]) == [("x", "BYTES", [1], ['{"cat": 0.5}'])]
    assert shown([None]) == [("x", "BYTES", [1], ["null"])]
    assert shown([1 << 70]) == [("x", "BYTES", [1], [str(1 << 70)])]
    assert shown([{"a": [1], "b": [0.5]}]) == [
        ("a", "INT64", [1, 1], [1]),
        ("b", "FP64", [1, 1], [0.5]),
    ]
    assert shown([1], [{"name": "mine"}]) == [("mine", "INT64", [1], [1])]
