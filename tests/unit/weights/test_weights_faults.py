"""A fault in a weights file is found; the file next to it, which has none, is sound."""

from __future__ import annotations

import io
import json
import zipfile

import hostile_pickles
import pytest
import safetensors
import safetensors.torch
import torch
import weightsfaults
import weightsfiles
from hypothesis import given, settings
from hypothesis import strategies as st

from mar_core.weights import examine

SOUND = {
    "state dict": weightsfiles.state_dict,
    "legacy": weightsfiles.legacy,
    "safetensors": weightsfiles.safetensors_file,
    "scripted": weightsfiles.torchscript,
    "traced": weightsfiles.traced,
    "onnx": weightsfiles.onnx_file,
}


def codes(data: bytes) -> list[str]:
    return [fault.code for fault in examine(io.BytesIO(data)).faults]


@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
def test_a_sound_file_has_no_fault(make):
    report = examine(io.BytesIO(make()))
    assert not report.faults
    assert report.listed
    assert report.parameters > 0


@pytest.mark.parametrize("name", [name for name in SOUND if name != "onnx"])
def test_the_list_of_tensors_is_the_state_dict(name):
    expected = {
        key: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for key, tensor in weightsfiles.network().state_dict().items()
    }
    report = examine(io.BytesIO(SOUND[name]()))
    assert {t.name: (t.dtype, t.shape) for t in report.tensors} == expected
    assert report.parameters == sum(t.numel() for t in weightsfiles.network().state_dict().values())


def test_a_rewritten_zip_is_as_sound():
    data = weightsfiles.with_record(weightsfiles.state_dict(), "note", b"hello")
    assert not codes(data)


@pytest.mark.parametrize(
    ("code", "data"), weightsfaults.TORCH_ZIPS.values(), ids=weightsfaults.TORCH_ZIPS
)
def test_a_fault_of_a_torch_zip(code, data):
    assert code in codes(data)


@pytest.mark.parametrize("data", weightsfaults.LEGACY.values(), ids=weightsfaults.LEGACY)
def test_a_fault_of_a_legacy_file(data):
    assert "MAR-W006" in codes(data)


@pytest.mark.parametrize(
    ("sentence", "data"), weightsfaults.SAFETENSORS.values(), ids=weightsfaults.SAFETENSORS
)
def test_a_fault_of_a_safetensors_file(sentence, data):
    (fault,) = examine(io.BytesIO(data)).faults
    assert fault.code == "MAR-W010"
    assert sentence in fault.message
    with pytest.raises((safetensors.SafetensorError, UnicodeDecodeError)):
        safetensors.torch.load(data)


@pytest.mark.parametrize(
    ("sentence", "data"), weightsfaults.STRICTER.values(), ids=weightsfaults.STRICTER
)
def test_a_fault_that_the_library_lets_pass(sentence, data):
    (fault,) = examine(io.BytesIO(data)).faults
    assert fault.code == "MAR-W010"
    assert sentence in fault.message


def test_a_header_is_checked_up_to_its_bounds():
    def padded(size):
        return weightsfaults.safetensors_with(b"{}" + b" " * (size - 2))

    assert not codes(padded(8 << 20))
    assert codes(padded((8 << 20) + 1)) == ["MAR-W005"]
    many = {f"{n}": weightsfaults.entry([0], [0, 0]) for n in range(100_000)}
    raw = json.dumps(many, separators=(",", ":")).encode()
    assert not codes(weightsfaults.safetensors_with(raw))
    more = raw[:-1] + b"," + json.dumps({"x": weightsfaults.entry([0], [0, 0])}).encode()[1:]
    assert codes(weightsfaults.safetensors_with(more)) == ["MAR-W005"]


def test_as_many_digits_and_dimensions_as_may_be():
    tall = weightsfaults.entry([1] * 64, [0, 4])
    assert not codes(weightsfaults.safetensors_with({"a": tall}, bytes(4)))
    twenty = b'{"a":{"dtype":"F32","shape":[0,' + b"1" * 20 + b'],"data_offsets":[0,0]}}'
    assert not codes(weightsfaults.safetensors_with(twenty))


def test_safetensors_of_every_dtype():
    tensors = {
        str(dtype): torch.zeros(2, 3).to(dtype)
        for dtype in (torch.float16, torch.bfloat16, torch.int8, torch.bool, torch.float8_e5m2)
    }
    report = examine(io.BytesIO(safetensors.torch.save(tensors)))
    assert not report.faults
    assert {f"torch.{t.dtype}" for t in report.tensors} == set(tensors)


def test_no_tensors_at_all_is_sound():
    assert not codes(safetensors.torch.save({}))
    assert not codes(weightsfiles.saved({}))


# --- torch.export --------------------------------------------------------------------------------


def test_an_export_is_listed_and_not_vouched_for():
    report = examine(io.BytesIO(weightsfiles.exported()))
    assert [fault.code for fault in report.faults] == ["MAR-W011"]
    expected = {
        key: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for key, tensor in weightsfiles.network().state_dict().items()
    }
    assert {t.name: (t.dtype, t.shape) for t in report.tensors} == expected
    assert report.listed


@pytest.mark.parametrize("content", [None, bytes(4)], ids=["missing", "short"])
def test_an_export_that_does_not_list_its_tensors(content):
    data = weightsfiles.with_record(weightsfiles.exported(), "data/weights/weight_0", content)
    report = examine(io.BytesIO(data))
    assert not report.listed
    assert not report.tensors


# --- the others ----------------------------------------------------------------------------------


def test_a_pickle_inside_a_torchscript_file():
    payload = hostile_pickles.pickled(hostile_pickles.load("os", "getcwd"))
    for name in ("data.pkl", "extra.pkl"):
        data = weightsfiles.with_record(weightsfiles.torchscript(), name, payload)
        assert "MAR-W003" in codes(data)


def test_the_tar_format_and_torch_packages():
    assert codes(weightsfiles.legacy_tar()) == ["MAR-W009"]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("p/.data/extern_modules", "")
        archive.writestr("p/model.pkl", b"\x80\x02N.")
    assert codes(stream.getvalue()) == ["MAR-W003"]


def test_onnx_data_outside():
    from onnx import TensorProto, helper

    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    graph = helper.make_graph([], "g", [], [], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    report = examine(io.BytesIO(model.SerializeToString()))
    assert report.external == ["../secret.bin"]
    assert [tensor.shape for tensor in report.tensors] == [(2,)]


@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_makes_nothing_raise(make, data):
    raw = bytearray(make())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    examine(io.BytesIO(bytes(raw)))
    examine(io.BytesIO(bytes(raw[:cut])))
