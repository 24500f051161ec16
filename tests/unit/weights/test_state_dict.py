"""Weights of a path: data is read for anybody, all else on the user's word alone."""

from __future__ import annotations

import pytest
import torch
from unpacked import initialized, network, network_source, unpack
from weightsfiles import saved

from mar_core import BaseHandler, ModelError
from mar_core.weights.state_dict import load_state_dict


@pytest.fixture
def model():
    return network("colours")


class Elsewhere(BaseHandler):
    """Reads other weights than the archive's own."""

    def _load_pickled_model(self, model_dir, model_file, model_pt_path):
        other = model_pt_path.replace("w.pt", "other.pt")
        return super()._load_pickled_model(model_dir, model_file, other)


@pytest.mark.parametrize("trusted", [True, False])
def test_another_file_of_the_archive_needs_the_word_too(tmp_path, model, trusted):
    files = {
        "w.pt": saved(network("colours").state_dict()),
        "other.pt": saved(model),
        "model.py": network_source("colours"),
    }
    context = unpack(tmp_path / "m", files, serializedFile="w.pt", modelFile="model.py")
    context.system_properties["allow_pickle"] = trusted
    if not trusted:
        with pytest.raises(ModelError, match=r"other\.pt holds more than tensors .*--trust"):
            initialized(Elsewhere(), context)
        return
    found = initialized(Elsewhere(), context).model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())


def test_without_a_source_nothing_is_trusted(tmp_path, model):
    path = tmp_path / "w.pt"
    path.write_bytes(saved(model))
    other = network("colours")
    for device in (None, "cpu", torch.device("cpu")):
        with pytest.raises(ModelError, match="could run any code"):
            load_state_dict(other, str(path), device=device)
    path.write_bytes(saved(model.state_dict()))
    load_state_dict(other, str(path), device=None)
    found = other.state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"weights": torch.nn.Linear(1, 1).state_dict()}, None),
        ({"epoch": 3, "model": torch.nn.Linear(1, 1).state_dict()}, None),
        ({"weight": torch.ones(1, 1), "bias": 1}, "a dict of 'weight', 'bias'"),
        ({1: torch.ones(1)}, "a dict of 1"),
        ({}, None),
        ([torch.ones(1)], "an object of list"),
    ],
)
def test_what_is_a_state_dict(tmp_path, content, told):
    path = tmp_path / "w.pt"
    path.write_bytes(saved(content))
    expected = f"w.pt holds {told}, not a state dict" if told else "2 missing"
    if content and told is None:
        load_state_dict(torch.nn.Linear(1, 1), str(path), device=None)
        return
    with pytest.raises(ModelError, match=expected):
        load_state_dict(torch.nn.Linear(1, 1), str(path), device=None)
