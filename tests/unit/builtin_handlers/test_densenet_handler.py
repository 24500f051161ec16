"""DenseNetHandler: saved tensors in, tensors out, in batches."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import torch
from unpacked import initialized, network, network_source, unpack
from weightsfiles import saved

from builtin_handlers.densenet_handler import DenseNetHandler
from mar_core import PredictionException

IMAGE = torch.randn(3, 12, 12, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def model():
    return network("colours")


@pytest.fixture
def handler(tmp_path, model):
    files = {"w.pt": saved(model.state_dict()), "model.py": network_source("colours")}
    context = unpack(tmp_path, files, serializedFile="w.pt", modelFile="model.py")
    return initialized(DenseNetHandler(), context)


def npy(tensor) -> bytes:
    stream = io.BytesIO()
    np.save(stream, tensor.numpy())
    return stream.getvalue()


def test_one_answer_for_each_request(handler, model):
    rows = [
        {"data": saved(IMAGE)},
        {"body": bytearray(saved(IMAGE + 1))},
        {"data": npy(IMAGE - 1)},
        {"data": (IMAGE * 2).tolist()},
        {"data": IMAGE},
    ]
    results = handler.handle(rows, handler.context)
    with torch.inference_mode():
        expected = model(torch.stack([IMAGE, IMAGE + 1, IMAGE - 1, IMAGE * 2, IMAGE]))
    assert [tuple(result.shape) for result in results] == [(1, 3)] * 5
    torch.testing.assert_close(torch.cat(results), expected, rtol=0, atol=1e-6)


def test_one_request_gets_what_torchserve_answers(handler, model):
    (result,) = handler.handle([{"data": saved(IMAGE)}], handler.context)
    with torch.inference_mode():
        assert torch.equal(result, model(IMAGE[None]))


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_requests_are_never_unpickled(handler, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(PredictionException, match=r"no tensor that torch.save wrote"):
        handler.preprocess([{"data": saved(Hostile(tmp_path / "canary"))}])
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"data": b"\xff\xd8\xff\xe0jpeg"}, "images are for image_classifier"),
        ({"data": saved({"a": IMAGE})}, "Here torch.save wrote a dict, not a tensor"),
        ({"data": "text"}, "A str is no tensor"),
        ({"data": np.array(["x"])}, "A ndarray is no tensor"),
        ({"data": b"\x93NUMPYx"}, "are no array that numpy.save wrote"),
    ],
)
def test_what_is_no_tensor_says_so(handler, row, sentence):
    with pytest.raises(PredictionException, match=sentence):
        handler.preprocess([row])


def test_tensors_of_different_shapes(handler):
    with pytest.raises(PredictionException, match="differ in shape"):
        handler.preprocess([{"data": IMAGE}, {"data": IMAGE[:, 1:]}])


def test_whole_numbers_become_floats(handler):
    assert handler.preprocess([{"data": [[1, 2]]}]).dtype is torch.float32
