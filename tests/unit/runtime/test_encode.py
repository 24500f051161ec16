"""Results as TorchServe's worker encodes them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch

from mar_core import HandlerError
from mar_core.runtime.values import encode


@pytest.mark.parametrize(
    ("value", "body", "is_json"),
    [
        ("caf\xe9", "caf\xe9".encode(), False),
        (b"\x00\x01", b"\x00\x01", False),
        (bytearray(b"x"), b"x", False),
        ({"a": [1, 2.5]}, b'{\n  "a": [\n    1,\n    2.5\n  ]\n}', True),
        (["\xe9"], b'[\n  "\\u00e9"\n]', True),
        (7, b"7", True),
        (None, b"null", True),
        (float("nan"), b"NaN", True),
    ],
)
def test_as_torchserve_encodes(value, body, is_json):
    assert encode(value) == (body, is_json)


def test_a_tensor_goes_as_torch_saves_it():
    body, is_json = encode(torch.arange(3))
    assert not is_json
    assert torch.load(io.BytesIO(body), weights_only=True).tolist() == [0, 1, 2]


def test_what_torchserve_cannot_write_goes_as_mar_run_writes_it():
    body, is_json = encode({"score": np.float32(0.5), "box": np.arange(2)})
    assert (json.loads(body), is_json) == ({"score": 0.5, "box": [0, 1]}, True)


@pytest.mark.parametrize(
    "value",
    [object(), {"x": object()}, 10**5000, [10**5000]],
    ids=lambda value: type(value).__name__,
)
def test_what_nobody_can_write_is_refused(value):
    with pytest.raises(HandlerError):
        encode(value)
