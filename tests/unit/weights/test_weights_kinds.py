"""``identify`` tells every format from its bytes, whatever the file is called."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import weightsfiles
from hypothesis import given
from hypothesis import strategies as st

from mar_core.weights import WeightsKind, identify


def kind_of(data: bytes) -> WeightsKind:
    return identify(io.BytesIO(data))


def zipped(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def numpy_file() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


def numpy_zip() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(3), b=np.ones(2))
    return stream.getvalue()


KINDS = {
    "state dict": (weightsfiles.state_dict, WeightsKind.TORCH),
    "whole module": (weightsfiles.whole_module, WeightsKind.TORCH),
    "legacy": (weightsfiles.legacy, WeightsKind.TORCH_LEGACY),
    "legacy tar": (weightsfiles.legacy_tar, WeightsKind.TORCH_TAR),
    "safetensors": (weightsfiles.safetensors_file, WeightsKind.SAFETENSORS),
    "scripted": (weightsfiles.torchscript, WeightsKind.TORCHSCRIPT),
    "traced": (weightsfiles.traced, WeightsKind.TORCHSCRIPT),
    "exported": (weightsfiles.exported, WeightsKind.EXPORTED),
    "onnx": (weightsfiles.onnx_file, WeightsKind.ONNX),
    "npy": (numpy_file, WeightsKind.NUMPY),
    "npz": (numpy_zip, WeightsKind.NUMPY),
    "a zip": (lambda: zipped(a=b"1"), WeightsKind.ZIP),
    "an empty zip": (zipped, WeightsKind.UNKNOWN),
    "a cut zip": (lambda: weightsfiles.state_dict()[:-9], WeightsKind.ZIP),
    "elf": (lambda: b"\x7fELF\x02\x01" + bytes(64), WeightsKind.SHARED_LIBRARY),
    "nothing": (lambda: b"", WeightsKind.EMPTY),
    "text": ("grüße\n".encode, WeightsKind.TEXT),
    "a pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        WeightsKind.TEXT,
    ),
    "noise": (lambda: bytes(range(255, 0, -1)), WeightsKind.UNKNOWN),
}


@pytest.mark.parametrize(("make", "kind"), KINDS.values(), ids=KINDS)
def test_a_file_is_told_by_its_bytes(make, kind):
    assert kind_of(make()) is kind


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [{"a": [1, 2.5, None]}, ["x"] * 1000, (), 7], ids=repr)
def test_a_bare_pickle_of_any_protocol(protocol, value):
    assert kind_of(pickle.dumps(value, protocol)) is WeightsKind.PICKLE


def test_what_needs_no_model_file():
    carry = {kind for kind in WeightsKind if kind.carries_structure}
    assert WeightsKind.TORCHSCRIPT in carry
    assert WeightsKind.ONNX in carry
    assert WeightsKind.TORCH not in carry
    assert WeightsKind.SAFETENSORS not in carry


@given(st.binary(max_size=2000))
def test_nothing_raises(data):
    assert kind_of(data) in WeightsKind


@pytest.mark.parametrize(
    "make", [weightsfiles.state_dict, weightsfiles.onnx_file], ids=["state dict", "onnx"]
)
@given(data=st.data())
def test_damage_never_raises(make, data):
    raw = bytearray(make())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    assert kind_of(bytes(raw)) in WeightsKind
    assert kind_of(bytes(raw[:cut])) in WeightsKind
