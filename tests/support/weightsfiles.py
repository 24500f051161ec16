"""Weights files of every kind, made with the libraries that people make them with."""

from __future__ import annotations

import functools
import io
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path

import safetensors.torch
import torch


def network() -> torch.nn.Module:
    """A small network with a buffer that is no float."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)).eval()


def saved(value: object, **options: object) -> bytes:
    """What ``torch.save`` writes."""
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


@functools.cache
def state_dict() -> bytes:
    return saved(network().state_dict())


@functools.cache
def legacy() -> bytes:
    return saved(network().state_dict(), _use_new_zipfile_serialization=False)


@functools.cache
def whole_module() -> bytes:
    return saved(network())


@functools.cache
def safetensors_file() -> bytes:
    return safetensors.torch.save(network().state_dict(), metadata={"format": "pt"})


@functools.cache
def torchscript() -> bytes:
    return to_torchscript(network())


def to_torchscript(module: torch.nn.Module) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates it; people's archives are full of it
        torch.jit.save(torch.jit.script(module), stream)
    return stream.getvalue()


@functools.cache
def traced() -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network(), torch.zeros(2, 4)), stream)
    return stream.getvalue()


@functools.cache
def exported() -> bytes:
    return to_exported(network(), torch.zeros(2, 4))


def to_exported(module: torch.nn.Module, *inputs: torch.Tensor) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt2"
        torch.export.save(torch.export.export(module, inputs), path)
        return path.read_bytes()


@functools.cache
def onnx_file() -> bytes:
    from onnx import TensorProto, helper

    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 3], [0.5] * 12)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@functools.cache
def legacy_tar() -> bytes:
    """The container that ``torch.save`` wrote before version 0.2."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"\x80\x02N."))
    return stream.getvalue()


def with_record(data: bytes, name: str, content: bytes | None) -> bytes:
    """The zip of a weights file with one record replaced, added, or taken out.

    Args:
        data: The weights file.
        name: The record, without the folder that all of them lie in.
        content: Its new bytes, or None to take it out.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        prefix = source.namelist()[0].partition("/")[0]
        records = {entry: source.read(entry) for entry in source.namelist()}
    wanted = f"{prefix}/{name}"
    if content is None:
        del records[wanted]
    else:
        records[wanted] = content
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for entry, raw in records.items():
            target.writestr(zipfile.ZipInfo(entry), raw)
    return stream.getvalue()
