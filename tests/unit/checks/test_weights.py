"""Weights in their archive: what they are for, and what a handler could unpickle beside them."""

from __future__ import annotations

import dataclasses
import io
import pickle

import hostile_pickles
import numpy as np
import pytest
import weightsfiles
from memory_archive import MODEL, archive, codes

from mar_core import Severity, Trust, WeightsFormat, hookimpl, validate
from mar_core.checks.rules import mar_validate_archive as check
from mar_core.checks.subject import Subject
from mar_core.checks.weights import weights_findings
from mar_core.plugins import get_plugins

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
    ("name", "data", "code", "words"),
    [
        ("w.pt", b"", "MAR-W014", "is empty"),
        ("w.safetensors", b"", "MAR-W014", "is empty"),
        ("w.pt", POINTER, "MAR-W002", "git-lfs"),
        ("w.onnx", POINTER, "MAR-W002", "git-lfs"),
        ("w.txt", b"<!DOCTYPE html><p>Not found", "MAR-W002", "web page"),
        ("w.pt", b"hello", "MAR-W002", "is text"),
        ("w.txt", b"hello", "MAR-W014", "is text, not weights"),
        ("w.bin", b"\x00\x01\x02\x03" * 100, "MAR-W014", "in no format that"),
        ("w.pkl", pickle.dumps({"a": 1}), "MAR-W014", "is a Python pickle"),
        ("w.so", b"\x7fELF" + b"\x00" * 100, "MAR-W013", "native code"),
    ],
)
def test_what_is_no_weights_file(name, data, code, words):
    (finding,) = found(name, data, handler="own.py")
    assert finding.code == code
    assert words in finding.message
    # Where the base handler is to load it, it is said in the same words, and with a remedy.
    (finding, *_) = found(name, data)
    assert words in finding.message
    assert finding.hint


PYTHON = WeightsFormat(
    name="acme", title="an acme file", trust=Trust.PYTHON, rank=20,
    identify=lambda file: file.head.startswith(b"ACME"),
    load=lambda source: source, carries_structure=True,
)  # fmt: skip


def with_acme(*, handler: str = "base_handler", **row):
    files = {"w": b"ACME", "own.py": OWN_LOADING}
    subject = Subject(archive(files, handler=handler, serializedFile="w"))
    subject.formats = (dataclasses.replace(PYTHON, **row), *subject.formats)
    return list(weights_findings(subject))


def test_a_plugins_format_that_is_python_needs_the_users_word_whatever_its_rank():
    for rank in (1, 20, 50):
        (finding,) = with_acme(rank=rank)
        assert (finding.code, finding.message) == ("MAR-W011", "The file is an acme file.")
    assert with_acme(trust=Trust.DATA) == []
    (finding,) = with_acme(examine=lambda _, report: report.fault("MAR-W013", "Native."))
    assert (finding.code, finding.message) == ("MAR-W013", "Native.")


def test_what_a_plugin_may_load_is_no_error():
    class Loads:
        @hookimpl
        def mar_load_model(self, source): ...

    manager = get_plugins().manager
    (finding,) = with_acme(trust=Trust.DATA, load=None)
    assert (finding.code, finding.severity) == ("MAR-W002", Severity.ERROR)
    manager.register(Loads(), "acme-loader")
    try:
        (finding,) = with_acme(trust=Trust.DATA, load=None)
    finally:
        manager.unregister(name="acme-loader")
    assert (finding.code, finding.severity) == ("MAR-W014", Severity.WARNING)
    assert finding.message == "The file is an acme file."


def test_other_files_damaged_or_of_code():
    for data in (b"\x7fELF" + b"\x00" * 100, b"MZ" + b"\x00" * 100):
        assert codes(check(archive({"lib.so": data}))) == []
    (finding,) = check(archive({"x.pt": weightsfiles.state_dict()[:-40]}))
    assert (finding.code, finding.severity) == ("MAR-W005", Severity.ERROR)
    (finding,) = check(archive({"x.safetensors": SHORT}))
    assert (finding.code, finding.severity) == ("MAR-W010", Severity.WARNING)
    (finding,) = check(archive({"x.engine": b"ftrt" + b"\x00" * 100}))
    assert (finding.code, finding.severity) == ("MAR-W013", Severity.ERROR)


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
    assert "MAR-W001" not in codes(found("w.pt", weightsfiles.whole_module()))
    assert "--trust" in finding.hint
