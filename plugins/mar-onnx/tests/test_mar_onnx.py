"""ONNX models from archives answer as the PyTorch models that they were exported from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from mar_core import BaseHandler, ModelError, load
from mar_core.testing import make_archive

sys.path.insert(0, str(Path(__file__).parent))
import mar_onnx.model
from grey_network import Grey
from onnx_networks import Pixels, Words, as_onnx, made, varying

IMAGES = torch.randn(5, 3, 8, 9, generator=torch.Generator().manual_seed(1))
EXACT = {"rtol": 0, "atol": 1e-6}


@pytest.fixture
def archived(tmp_path):
    def make(raw, *, name="model.onnx", handler="base_handler", **more):
        weights = tmp_path / name
        weights.write_bytes(raw)
        return make_archive(tmp_path, handler=handler, serialized_file=weights, **more)

    return make


def exported(model, batch=2, *, fixed=False):
    axes = None if fixed else varying("images")
    return as_onnx(model, IMAGES[:batch], input_names=["images"], dynamic_axes=axes)


def run(archive, inputs, **options):
    with load(archive, batch_size=len(inputs), **options) as model:
        return model.predict(inputs)


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin"])
def test_results_equal_pytorch_whatever_the_file_is_called(archived, name):
    model = made(Grey)
    results = run(archived(exported(model), name=name), [{"data": image} for image in IMAGES])
    with torch.inference_mode():
        torch.testing.assert_close(torch.tensor(results), model(IMAGES), **EXACT)


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_model_of_one_batch_size_takes_any(archived, batch, size):
    model = made(Grey)
    archive = archived(exported(model, batch, fixed=True))
    results = run(archive, [{"data": image} for image in IMAGES[:size]])
    with torch.inference_mode():
        torch.testing.assert_close(torch.tensor(results), model(IMAGES[:size]), **EXACT)


def test_several_outputs_arrive_by_name(archived):
    model = made(Pixels)
    raw = as_onnx(
        model,
        IMAGES[:1],
        input_names=["images"],
        output_names=["out", "aux"],
        dynamic_axes=varying("images", "out", sizes=(0, 2, 3)),
    )
    archive = archived(raw, handler="image_segmenter")
    (result,) = run(archive, [{"data": IMAGES[0]}])
    with torch.inference_mode():
        probabilities, classes = torch.softmax(model(IMAGES[:1])[0], 1).max(1)
    expected = torch.stack([classes.float(), probabilities], 3)[0]
    torch.testing.assert_close(torch.tensor(result), expected, **EXACT)


def test_texts_with_a_mask(archived):
    model = made(Words)
    ids = torch.tensor([[3, 4, 1], [3, 1, 1]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    names = ["input_ids", "attention_mask"]
    raw = as_onnx(model, ids, mask, input_names=names, dynamic_axes=varying(*names, sizes=(0, 1)))
    vocabulary = {"<unk>": 0, "<pad>": 1, "good": 3, "film": 4}
    archive = archived(
        raw, handler="text_handler", files={"source_vocab.json": json.dumps(vocabulary)}
    )
    results = run(archive, ["good film", "good"])
    with torch.inference_mode():
        torch.testing.assert_close(torch.tensor(results), model(ids, mask), **EXACT)


def test_inputs_by_name_are_cast(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(exported(made(Grey)))
    model = mar_onnx.model.load(path, "cpu").eval().to("cpu")
    assert model.input_names == ["images"]
    whole = torch.ones(2, 3, 8, 9, dtype=torch.int64)
    torch.testing.assert_close(model(images=whole), model(whole.double()))
    with pytest.raises(TypeError, match="takes images; it was given 2 by position and none"):
        model(whole, whole)
    with pytest.raises(TypeError, match="given 0 by position and pictures by name"):
        model(pictures=whole)


def test_what_is_no_tensor_stays_as_it_is(tmp_path):
    values = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 2])
    element = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
    parts = onnx.helper.make_value_info("parts", onnx.helper.make_sequence_type_proto(element))
    node = onnx.helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0, keepdims=0)
    graph = onnx.helper.make_graph([node], "rows", [values], [parts])
    opset = onnx.helper.make_opsetid("", 17)
    path = tmp_path / "rows.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    model = mar_onnx.model.load(path, "cpu")
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert [row.tolist() for row in model(torch.from_numpy(rows[:2]))] == rows[:2].tolist()
    assert [row.tolist() for row in model(torch.from_numpy(rows))] == rows.tolist()


def test_a_damaged_model_says_so(archived):
    raw = exported(made(Grey)).replace(b"Conv", b"Cone")
    with pytest.raises(ModelError, match=r"is an ONNX model that onnxruntime .* cannot load"):
        run(archived(raw), [{"data": IMAGES[0]}])


def test_other_formats_are_left_to_others(tmp_path):
    archive = make_archive(tmp_path, handler="base_handler", model=Grey().eval())
    with load(archive) as served:
        assert not isinstance(served.loaded.instance.model, mar_onnx.model.OnnxModel)


def test_devices(caplog, monkeypatch):
    providers = mar_onnx.model.providers_for
    assert providers(torch.device("cpu")) == ["CPUExecutionProvider"]
    assert providers(torch.device("cuda:1")) == ["CPUExecutionProvider"]
    assert "has no CUDAExecutionProvider here" in caplog.text
    there = ["CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: there)
    assert providers(torch.device("cuda:1")) == [
        ("CUDAExecutionProvider", {"device_id": 1}),
        "CPUExecutionProvider",
    ]
    assert providers(torch.device("mps"))[0] == ("CoreMLExecutionProvider", {})


def test_discovery_costs_nothing():
    """The module that the entry point names imports neither torch nor onnxruntime."""
    code = "import mar_onnx, sys; print(sorted({'torch', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_handlers_find_what_they_expect(tmp_path):
    """A handler's own calls on its model are those of a module."""
    path = tmp_path / "m.onnx"
    path.write_bytes(exported(made(Grey)))
    handler = BaseHandler()
    handler.device = torch.device("cpu")
    handler.model = mar_onnx.model.load(path, handler.device)
    assert isinstance(handler.model.eval(), torch.nn.Module)
    assert handler.inference(IMAGES).shape == (5, 4)


def test_handlers_made_for_torchserve_call_the_session(archived, tmp_path):
    """There ``self.model`` is onnxruntime's session."""
    handler = tmp_path / "session_handler.py"
    handler.write_text(
        "import torch\n"
        "from ts.torch_handler.base_handler import BaseHandler\n"
        "class H(BaseHandler):\n"
        "    def inference(self, data):\n"
        "        name = self.model.get_inputs()[0].name\n"
        "        wanted = [self.model.get_outputs()[0].name]\n"
        "        return torch.from_numpy(self.model.run(wanted, {name: data.numpy()})[0])\n"
    )
    model = made(Grey)
    archive = archived(exported(model), handler=handler)
    expected = model(IMAGES[:2]).detach()
    torch.testing.assert_close(torch.tensor(run(archive, IMAGES[:2].tolist())), expected, **EXACT)
