"""Small files that would cost much: the work is bounded, and what is left out is said."""

from __future__ import annotations

import fractions
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
import weightsfaults
import weightsfiles
from unpacked import initialized, network_source, unpack

from mar_core import BaseHandler, ModelError
from mar_core.weights import Allowance, TensorInfo, TooCostlyError, contiguous, examine
from mar_core.weights.compare import is_readable, largest_difference
from mar_core.weights.pickles import walk_pickle

DOUBLED = b"\x80\x02)" + b"q\x00h\x00\x86" * 60


def zipped(payload: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        target.writestr("archive/data.pkl", payload)
    return stream.getvalue()


@pytest.mark.parametrize("end", [b")R}b.", b"h\x00R.", b"}h\x00Ns.", b"h\x00Q.", b"]h\x00R."])
def test_a_tuple_that_doubles_is_never_printed(end):
    report = examine(io.BytesIO(zipped(DOUBLED + end)))
    assert report.faults
    assert all(len(fault.message) < 2000 for fault in report.faults)


def test_a_shape_of_many_ones():
    data = weightsfaults.safetensors_with(
        {"a": weightsfaults.entry([1] * 100_000, [0, 4])}, bytes(4)
    )
    (fault,) = examine(io.BytesIO(data)).faults
    assert "100,000 dimensions" in fault.message
    assert contiguous([1] * 100_000)[0] == 1
    assert contiguous([2, 3, 4]) == (12, 4, 1)
    assert contiguous([]) == ()


def test_many_small_files_share_one_allowance():
    allowance, data = Allowance(1 << 20), b"\x80\x02" + b"N0" * 1000 + b"N."
    codes = [
        fault.code
        for _ in range(10)
        for fault in examine(io.BytesIO(data), budget=allowance).faults
    ]
    assert codes[0] == "MAR-W005"
    assert set(codes) == {"MAR-W005"}
    assert not examine(io.BytesIO(data), budget=Allowance(1 << 20)).faults


@pytest.mark.parametrize("mark", [b"", b"\x80\x04", b"cos\nsystem\n0"])
def test_what_is_too_long_to_be_told_from_a_pickle_is_one(mark):
    data = mark + b"N0" * 1000 + b"N."
    report = examine(io.BytesIO(data), budget=Allowance(1 << 18))
    assert report.format.name == "pickle"
    assert [fault.code for fault in report.faults] == ["MAR-W003" if b"os" in mark else "MAR-W005"]


def test_an_allowance_ends():
    allowance = Allowance(10)
    allowance.spend(10)
    with pytest.raises(TooCostlyError):
        allowance.spend(1)


def test_a_tensor_that_repeats_its_numbers_is_not_compared():
    info = TensorInfo(name="a", dtype="float32", shape=(1 << 33,), strides=(0,), start=0,
                      storage_bytes=4)  # fmt: skip
    assert not is_readable(info)
    assert largest_difference(io.BytesIO(bytes(4)), info, io.BytesIO(bytes(4)), info) is None


def test_an_export_whose_config_is_nested_deeply():
    config = "data/weights/model_weights_config.json"
    deep = b'{"config":' + b"[" * 16_000 + b"]" * 16_000 + b"}"
    report = examine(io.BytesIO(weightsfiles.with_record(weightsfiles.exported(), config, deep)))
    assert [fault.code for fault in report.faults] == ["MAR-W011"]
    assert not report.listed


# --- safetensors: every byte belongs to one tensor -----------------------------------------------


@pytest.mark.parametrize(
    ("spans", "size", "words"),
    [
        ([[0, 4], [8, 12], [4, 8]], 12, None),
        ([[0, 4], [8, 12]], 8, "hole or an overlap"),
        ([[0, 8], [4, 8]], 12, "hole or an overlap"),
        ([[0, 8], [4, 12]], 16, "hole or an overlap"),
        ([[0, 4], [0, 4]], 8, "hole or an overlap"),
        ([[4, 8], [8, 12]], 8, "hole"),
        ([[0, 4]], 8, "take 4 bytes"),
    ],
)
def test_a_hole_or_an_overlap(spans, size, words):
    header = {
        f"t{number}": weightsfaults.entry([(end - begin) // 4], [begin, end])
        for number, (begin, end) in enumerate(spans)
    }
    faults = examine(io.BytesIO(weightsfaults.safetensors_with(header, bytes(size)))).faults
    assert [fault.code for fault in faults] == (["MAR-W010"] if words else [])
    assert all(words in fault.message for fault in faults)


def test_a_file_that_promises_more_than_it_has():
    raw = json.dumps({"a": weightsfaults.entry([2], [0, 8])}).encode()
    data = struct.pack("<Q", len(raw)) + raw[:-3]
    report = examine(io.BytesIO(data))
    assert report.format.name == "safetensors"
    assert [fault.code for fault in report.faults] == ["MAR-W010"]


# --- a network gets all of its weights -----------------------------------------------------------


def loaded(tmp_path, state):
    files = {"w.pt": weightsfiles.saved(state), "net.py": network_source("tied")}
    context = unpack(tmp_path / "m", files, serializedFile="w.pt", modelFile="net.py")
    return initialized(BaseHandler(), context).model


def test_tied_parameters_stay_tied_also_when_both_names_are_in_the_file(tmp_path):
    one = torch.arange(16.0).reshape(4, 4)
    state = {"first.weight": one, "second.weight": one.clone(),
             "first.bias": torch.ones(4), "second.bias": torch.zeros(4)}  # fmt: skip
    model = loaded(tmp_path, state)
    assert model.first.weight is model.second.weight
    assert torch.equal(model.first.weight, one)
    with torch.no_grad():
        model.first.weight.fill_(2.0)
    assert (model.second.weight == 2).all()


@pytest.mark.parametrize("missing", ["first.bias", "second.bias"])
def test_a_weight_that_is_missing_is_no_random_number(tmp_path, missing):
    state = {"first.weight": torch.ones(4, 4), "second.weight": torch.ones(4, 4),
             "first.bias": torch.ones(4), "second.bias": torch.zeros(4)}  # fmt: skip
    del state[missing]
    with pytest.raises(ModelError, match=f"1 missing: {missing}"):
        loaded(tmp_path, state)


def test_no_weights_at_all_in_the_file(tmp_path):
    with pytest.raises(ModelError, match="4 missing"):
        loaded(tmp_path, {})


class Called:
    """Pickles as a call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        (bytearray, (10**11,)),
        (np.ndarray, ((10**6, 10**6),)),
        (np.zeros(0).__reduce__()[0], (np.ndarray, (10**12,), b"b")),
        (fractions.Fraction, ("1e999999999",)),
    ],
    ids=["bytearray", "ndarray", "reconstruct", "fraction"],
)
def test_a_call_that_fills_memory_on_the_word_of_a_number_is_bounded(call):
    """Loading it would take 100 GB, or hours; to find that costs nothing."""
    walked = walk_pickle(pickle.dumps([Called(*call)]), plain=True)
    assert walked.unchecked
    assert {fault.code for fault in examine(io.BytesIO(pickle.dumps(Called(*call)))).faults}


@pytest.mark.parametrize(
    "value",
    [bytearray(b"abc" * 1000), np.arange(6.0).reshape(2, 3), fractions.Fraction("1/3")],
    ids=["bytearray", "array", "fraction"],
)
def test_what_holds_its_own_bytes_is_not(value):
    walked = walk_pickle(pickle.dumps([value, {"a": value}]), plain=True)
    assert not walked.unchecked
    assert not walked.acts


def test_a_sound_file_without_an_end_of_line_is_no_pickle():
    """Its first byte may be an opcode that takes a line: to look for the end costs little."""
    size = 4 << 20
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
    padded = header.encode().ljust(ord("S") + 256 if len(header) > ord("S") else ord("S"))
    whole = struct.pack("<Q", len(padded)) + padded + bytes(size)
    assert whole[:1] == b"S"
    report = examine(io.BytesIO(whole), budget=Allowance(1 << 20))
    assert (report.format.name, report.faults) == ("safetensors", [])
