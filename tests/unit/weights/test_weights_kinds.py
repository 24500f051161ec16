"""``identify`` tells every format from its bytes, whatever the file is called."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import weightsfiles
from hypothesis import given
from hypothesis import strategies as st

from mar_core.weights import examine, identify, weights_formats


def kind_of(data: bytes) -> str:
    return identify(io.BytesIO(data)).name


NAMES = {row.name for row in weights_formats()}


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


def tarred(name: str = "a") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


KINDS = {
    "state dict": (weightsfiles.state_dict, "torch"),
    "whole module": (weightsfiles.whole_module, "torch"),
    "legacy": (weightsfiles.legacy, "torch-legacy"),
    "legacy tar": (weightsfiles.legacy_tar, "torch-tar"),
    "safetensors": (weightsfiles.safetensors_file, "safetensors"),
    "scripted": (weightsfiles.torchscript, "torchscript"),
    "traced": (weightsfiles.traced, "torchscript"),
    "exported": (weightsfiles.exported, "torch-export"),
    "onnx": (weightsfiles.onnx_file, "onnx"),
    "npy": (numpy_file, "numpy"),
    "npz": (numpy_zip, "numpy"),
    "a zip": (lambda: zipped(a=b"1"), "zip"),
    "an empty zip": (zipped, "unknown"),
    "a cut zip": (lambda: weightsfiles.state_dict()[:-9], "zip"),
    "elf": (lambda: b"\x7fELF\x02\x01" + bytes(64), "shared-library"),
    "nothing": (lambda: b"", "empty"),
    "text": ("grüße\n".encode, "text"),
    "a pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "text",
    ),
    "a tar": (tarred, "tar"),
    "a name of a tar alone": (lambda: b"storages".ljust(600, b"\0"), "unknown"),
    "cut text": (("x" * 511 + "ü" * 9).encode, "text"),
    "Latin-1": (lambda: "grüße an alle\n".encode("latin-1"), "unknown"),
    "a cut pickle": (lambda: b"\x80\x05]", "pickle"),
    "two bytes of a pickle": (lambda: b"\x80\x04", "pickle"),
    "the pickle of a later Python": (lambda: b"\x80\x06N" + bytes(range(99, 200)), "unknown"),
    "noise": (lambda: bytes(range(255, 0, -1)), "unknown"),
}


@pytest.mark.parametrize(("make", "kind"), KINDS.values(), ids=KINDS)
def test_a_file_is_told_by_its_bytes(make, kind):
    assert kind_of(make()) == kind


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [{"a": [1, 2.5, None]}, ["x"] * 1000, (), 7], ids=repr)
def test_a_bare_pickle_of_any_protocol(protocol, value):
    assert kind_of(pickle.dumps(value, protocol)) == "pickle"


def test_what_needs_no_model_file():
    carry = {row.name for row in weights_formats() if row.carries_structure}
    assert {"torchscript", "torch-export", "aotinductor", "onnx"} <= carry
    assert not carry & {"torch", "torch-legacy", "safetensors"}


@given(st.binary(max_size=2000))
def test_nothing_raises(data):
    assert kind_of(data) in NAMES


@pytest.mark.parametrize(
    "make", [weightsfiles.state_dict, weightsfiles.onnx_file], ids=["state dict", "onnx"]
)
@given(data=st.data())
def test_damage_never_raises(make, data):
    raw = bytearray(make())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    assert kind_of(bytes(raw)) in NAMES
    assert kind_of(bytes(raw[:cut])) in NAMES


def test_a_sound_file_is_no_pickle_whatever_its_first_byte():
    """The first byte of safetensors is a length, and so any of a pickle's opcodes."""
    for low in range(256):
        length = 256 + low
        header = b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}'.ljust(length)
        report = examine(io.BytesIO(length.to_bytes(8, "little") + header + bytes(4)))
        assert (report.format.name, report.faults) == ("safetensors", []), hex(low)
