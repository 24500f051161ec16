"""The pickle machine beside ``torch.load(weights_only=True)``, on pickles made of opcodes.

What the machine takes, torch loads. What torch loads, the machine takes, or it says what it does
not take and never that code would run.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import warnings

import pytest
import torch
import weightsfiles
from hypothesis import given, settings
from hypothesis import strategies as st

from mar_core.weights import examine
from mar_core.weights.allowed import ALLOWED
from mar_core.weights.pickles import walk_pickle

BASE = weightsfiles.saved({"a": torch.arange(12.0), "b": torch.zeros(4, dtype=torch.int64)})


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(full: str) -> bytes:
    module, _, attribute = full.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def sizes(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(kind: str = "FloatStorage", key: str = "0", count: int = 12) -> bytes:
    parts = text("storage") + name(f"torch.{kind}") + text(key) + text("cpu") + number(count)
    return b"(" + parts + b"tQ"


def tensor(base: bytes, offset: int, shape: bytes, strides: bytes, more: bytes = b"") -> bytes:
    hooks = name("collections.OrderedDict") + b")R"
    args = base + number(offset) + shape + strides + b"\x89" + hooks + more
    return name("torch._utils._rebuild_tensor_v2") + b"(" + args + b"tR"


FLOATS = tensor(storage(), 0, sizes(3, 4), sizes(4, 1))
LONGS = tensor(storage("LongStorage", "1", 4), 0, sizes(4), sizes(1))
small = st.integers(-1, 13)
shapes = st.lists(st.integers(-1, 5), max_size=3).map(lambda values: sizes(*values))
storages = st.one_of(
    st.just(storage()),
    st.just(storage("LongStorage", "1", 4)),
    st.builds(
        storage,
        st.sampled_from(["FloatStorage", "LongStorage", "DoubleStorage", "BoolStorage"]),
        st.sampled_from(["0", "1", "2", "../1"]),
        st.integers(-1, 13),
    ),
)
atoms = st.one_of(
    st.sampled_from([b"N", b"\x88", b"\x89", b")", b"]", b"}", b"\x8f", b"(", b"t", b"\x85",
                     b"\x86", b"\x87", b"R", b"R", b"R", b"b", b"b", b"a", b"e", b"s", b"u",
                     b"\x81", b"0", b"2", b"Q", b"l", b"d", b"q\x00", b"h\x00", b"q\x01",
                     b"h\x01", b"\x94", b".", b"U\x02\xff\xfe", b"U\x01a"]),
    st.integers(-3, 300).map(number),
    st.sampled_from([0.5, 0.0]).map(lambda value: b"G" + struct.pack(">d", value)),
    st.sampled_from(["a", "storage", "latin1", "latin-1", "cpu", "cuda:0", "torch.strided", "é",
                     "grad", "_x", "state"]).map(text),
    st.sampled_from(sorted(ALLOWED)).map(name),
    st.sampled_from(["os.system", "builtins.eval", "__builtin__.set", "numpy.dtype",
                     "torch.Tensor.add_", "collections.deque", "torch.load"]).map(name),
    storages,
    st.sampled_from([FLOATS, LONGS]),
    st.builds(tensor, storages, small, shapes, shapes, st.sampled_from([b"", b"N", b"}"])),
)  # fmt: skip
# Calls that are nearly right: the arguments that torch.save writes, and others in their place.
arguments = st.lists(
    st.one_of(
        st.sampled_from([FLOATS, LONGS, b"N", b"\x88", b"\x89", b"}", b")", b"]",
                         sizes(3), sizes(2, 2), name("torch.float32"), name("torch.Tensor"),
                         name("torch.nn.parameter.Parameter"), name("torch.per_tensor_affine"),
                         name("collections.OrderedDict") + b")R", text("latin1"), text("cpu"),
                         text("x") , number(1), b"G" + struct.pack(">d", 0.5),
                         name("torch._utils._rebuild_tensor_v2"), b"}" + text("k") + b"Ns",
                         name("torch.serialization._get_layout") + text("torch.sparse_coo")
                         + b"\x85R", name("torch._utils._rebuild_parameter")]),
        storages,
    ),
    max_size=7,
)  # fmt: skip
calls = st.builds(
    lambda full, args: name(full) + b"(" + b"".join(args) + b"tR",
    st.sampled_from(sorted(ALLOWED)),
    arguments,
)
bodies = st.lists(st.one_of(atoms, calls, calls), min_size=1, max_size=8).map(b"".join)
pickles = bodies.map(lambda body: b"\x80\x02" + body + b".")


def error_of(data: bytes) -> Exception | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        except Exception as error:  # noqa: BLE001 - torch raises whatever its constructors raise
            return error
    return None


def check(payload: bytes) -> None:
    data = weightsfiles.with_record(BASE, "data.pkl", payload)
    faults = examine(io.BytesIO(data)).faults
    error = error_of(data)
    if not faults:
        assert error is None, (payload, error)
    if error is None:
        assert "MAR-W003" not in {fault.code for fault in faults}, (payload, faults)
        assert all(fault.message for fault in faults)


@settings(max_examples=800, deadline=None)
@given(pickles)
def test_of_opcodes(payload):
    check(payload)


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_of_one_call(data):
    full = data.draw(st.sampled_from(sorted(ALLOWED)))
    args = data.draw(arguments)
    check(b"\x80\x02" + name(full) + b"(" + b"".join(args) + b"tR.")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_of_a_state_dict_with_a_few_bytes_changed(data):
    import zipfile

    with zipfile.ZipFile(io.BytesIO(BASE)) as archive:
        raw = bytearray(archive.read("archive/data.pkl"))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(raw))


@settings(max_examples=300, deadline=None)
@given(bodies, st.integers(0, 5))
def test_a_fault_stops_pickle_too(body, protocol):
    """Where the machine stops, Python's own unpickler has stopped; nothing behind would run."""
    ran = []

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, attribute):
            return lambda *_: ran.append(module) or {}

        def persistent_load(self, identity):
            return {}

    canary = b"cCANARY\nx\n)R."
    payload = b"\x80" + bytes([protocol]) + body.replace(b".", b"") + b"0" * 3 + canary
    walked = walk_pickle(payload)
    with contextlib.suppress(Exception):  # most of them are damaged
        Unpickler(io.BytesIO(payload)).load()
    if "CANARY" in ran:
        assert any("CANARY" in found for found in walked.forbidden) or len(walked.forbidden) > 19


@pytest.mark.parametrize(
    "payload",
    [
        name("builtins.bytearray") + number(3) + b"\x85R",
        name("torch.Tensor") + number(3) + b"\x85R",
        name("torch.storage.UntypedStorage") + number(3) + b"\x85R",
        name("_codecs.encode") + text("x") + text("rot13") + b"\x86R",
        FLOATS + b"}b",
    ],
    ids=["a bytearray of a size", "a tensor of a size", "a storage of a size", "a codec", "BUILD"],
)  # fmt: skip
def test_a_call_that_torch_save_never_writes(payload):
    walked = walk_pickle(b"\x80\x02" + payload + b".")
    assert walked.refused
    assert not walked.forbidden
    assert not walked.unchecked


def test_a_call_that_fills_memory_costs_too_much():
    huge = b"\x8a\x06" + bytes(5) + b"\x01"
    walked = walk_pickle(b"\x80\x02" + name("builtins.bytearray") + huge + b"\x85R.")
    assert walked.unchecked
