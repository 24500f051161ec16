"""Weights in their archive: what they are for, and what a handler could unpickle beside them."""

from __future__ import annotations

import io

import hostile_pickles
import numpy as np
import pytest
import weightsfiles
from memory_archive import MODEL, archive, codes

from mar_core import Severity, validate
from mar_core.checks.rules import mar_validate_archive as check

OWN_LOADING = b"""\
from ts.torch_handler.base_handler import BaseHandler

class H(BaseHandler):
    def initialize(self, context):
        self.model = None
"""
CALL = hostile_pickles.pickled(hostile_pickles.Call(hostile_pickles.Ref("os", "system"), "true"))
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def found(name: str, data: bytes, *, model_file: bool = False, handler: str = "base_handler"):
    files = {name: data, "own.py": OWN_LOADING, "model.py": MODEL}
    model = {"handler": handler, "serializedFile": name}
    return list(check(archive(files, **model, modelFile="model.py" if model_file else None)))


BARE = {
    "a state dict": ("w.pt", weightsfiles.state_dict),
    "a legacy state dict": ("w.pth", weightsfiles.legacy),
    "safetensors": ("w.safetensors", weightsfiles.safetensors_file),
}
WHOLE = {
    "TorchScript": ("w.pt", weightsfiles.torchscript),
    "torch.export": ("w.pt2", weightsfiles.exported),
    "ONNX": ("w.onnx", weightsfiles.onnx_file),
}


@pytest.mark.parametrize(("name", "make"), BARE.values(), ids=BARE)
def test_bare_weights_need_their_network(name, make):
    assert codes(found(name, make(), model_file=True)) == []
    assert codes(found(name, make())) == ["MAR-W001"]
    assert codes(found(name, make(), handler="own.py")) == []


@pytest.mark.parametrize(("name", "make"), WHOLE.values(), ids=WHOLE)
def test_a_file_that_carries_its_network_needs_no_model_file(name, make):
    asks = ["MAR-W011"] if name.endswith(".pt2") else []
    assert codes(found(name, make())) == asks
    more = [f for f in found(name, make(), model_file=True) if f.code not in asks]
    assert [(f.code, f.severity) for f in more] == [("MAR-W017", Severity.WARNING)]


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("w.pt", b"", "MAR-W014"),
        ("w.pt", POINTER, "MAR-W002"),
        ("w.pt", b"<!DOCTYPE html><p>Not found", "MAR-W002"),
        ("w.pt", b"hello", "MAR-W002"),
        ("w.txt", b"hello", "MAR-W014"),
        ("w.bin", b"\x00\x01\x02\x03" * 100, "MAR-W014"),
        ("w.so", b"\x7fELF" + b"\x00" * 100, "MAR-W013"),
    ],
)
def test_what_is_no_weights_file(name, data, code):
    assert codes(found(name, data, handler="own.py")) == [code]


SHORT = weightsfiles.safetensors_file()[:-5]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "MAR-W002"),
        (b"dear all, the weights are in the other folder\n", "MAR-W002"),
        (bytes(range(255, 0, -1)) * 2, "MAR-W002"),
        (CALL, "MAR-W002"),
        (SHORT, "MAR-W010"),
        (SHORT[:40], "MAR-W010"),
        (weightsfiles.state_dict()[:-40], "MAR-W008"),
    ],
    ids=["nothing", "a memo", "noise", "a pickle", "cut", "cut short", "a cut zip"],
)
@pytest.mark.parametrize("handler", ["base_handler", "image_classifier"])
def test_what_the_handler_cannot_load_is_an_error(data, code, handler):
    for name in ("w.pt", "w.model"):
        errors = [
            f.code for f in found(name, data, model_file=True, handler=handler)
            if f.severity is Severity.ERROR
        ]  # fmt: skip
        assert code in errors


@pytest.mark.parametrize("data", [b"", bytes(range(255, 0, -1)) * 2], ids=["nothing", "noise"])
def test_what_only_the_handler_may_know_is_named(data):
    (finding,) = found("w.model", data, handler="own.py")
    assert (finding.code, finding.severity) == ("MAR-W014", Severity.WARNING)


@pytest.mark.parametrize("name", ["w.pth", "w.bin", "w"])
def test_torchscript_that_torchserve_would_not_take_is_a_note(name):
    (finding,) = found(name, weightsfiles.torchscript())
    assert (finding.code, finding.severity) == ("MAR-W015", Severity.INFO)


def test_the_ending_of_another_format_is_a_note():
    assert codes(found("w.onnx", weightsfiles.torchscript())) == ["MAR-W015"]


@pytest.mark.parametrize(
    ("location", "there"),
    [("x.data", True), ("y.data", False), ("../x.data", False), ("/x.data", False)],
)
def test_data_outside_the_file(location, there):
    from onnx import TensorProto, helper

    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    graph = helper.make_graph([], "g", [], [], [tensor])
    raw = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    files = {"w.onnx": raw, "x.data": bytes(8)}
    told = {"handler": "base_handler", "serializedFile": "w.onnx"}
    assert codes(check(archive(files, **told))) == ([] if there else ["MAR-W012"])


@pytest.mark.parametrize("name", ["w.pt", "w.pkl", "w.bin", "w"])
def test_a_pickle_that_calls_something_is_an_error_unless_it_is_trusted(name):
    data = hostile_pickles.inside_torch_zip(CALL) if name == "w.pt" else CALL
    (finding,) = [f for f in found(name, data, handler="own.py") if f.code == "MAR-W003"]
    assert finding.severity is Severity.ERROR
    assert "os.system" in finding.message
    subject = archive({name: data, "own.py": OWN_LOADING}, handler="own.py", serializedFile=name)
    trusted = validate(subject, allow_pickle=True)
    assert {f.severity for f in trusted if f.code == "MAR-W003"} == {Severity.WARNING}


@pytest.mark.parametrize("name", ["vocab.pkl", "vocab.pt", "extra", "notes.txt", "a/b/c.joblib"])
def test_pickles_among_the_extra_files_are_walked_too(name):
    (finding,) = check(archive({name: CALL}))
    assert (finding.code, finding.member) == ("MAR-W003", name)


def test_numpy_files_among_the_extra_files():
    stream = io.BytesIO()
    np.save(stream, np.array([{}], dtype=object), allow_pickle=True)
    assert codes(check(archive({"x.npy": stream.getvalue()}))) == ["MAR-W016"]
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    assert codes(check(archive({"x.npy": stream.getvalue()}))) == []


def test_a_pickled_network_is_refused_with_the_way_out():
    (finding,) = [f for f in found("w.pt", weightsfiles.whole_module()) if f.code == "MAR-W003"]
    assert "state_dict" in finding.hint
    assert "--trust" in finding.hint
