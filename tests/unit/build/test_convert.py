"""A state dict becomes safetensors: every name, tied or not, and nothing but tensors."""

from __future__ import annotations

import warnings

import pytest
import torch
from safetensors.torch import load_file

from mar_core import ModelError, UsageError
from mar_core.build.convert import save_tensors, to_safetensors


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(4, 3)
        self.head = torch.nn.Linear(3, 4, bias=False)
        self.head.weight = self.embedding.weight


@pytest.fixture
def saved(tmp_path):
    def save(content, name="weights.pt", **options):
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "checkpoint"])
def test_every_name_is_there_and_tied_tensors_too(saved, out, old, wrapped):
    torch.manual_seed(0)
    state = {**Tied().state_dict(), "turned": torch.randn(2, 5).t(), "half": torch.ones(2).half()}
    state |= {"part": state["turned"][1:3], "none": torch.empty(0)}
    content = {"state_dict": state, "epoch": 3} if wrapped else state
    path = saved(content, "pytorch_model.bin", _use_new_zipfile_serialization=not old)
    target, reasons = to_safetensors(path, out)
    assert target == out / "model.safetensors"
    loaded = load_file(target)
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=0)
    assert "head.weight" in reasons[-1]
    network = Tied()
    network.load_state_dict({name: loaded[name] for name in network.state_dict()})
    assert network.head.weight is network.embedding.weight


def test_safetensors_stays_what_it_is(saved, out):
    first, _ = to_safetensors(saved({"a": torch.ones(2)}), out)
    again, reasons = to_safetensors(first, out)
    assert again == first
    assert reasons == ("weights.safetensors is safetensors already",)


def test_a_pickle_needs_the_word(saved, out):
    path = saved(torch.nn.Linear(2, 1))
    with pytest.raises(ModelError, match="--trust"):
        to_safetensors(path, out)
    target, _ = to_safetensors(path, out, allow_pickle=True)
    assert set(load_file(target)) == {"weight", "bias"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty, not a state dict"),
        (b"hello", "not a state dict"),
        (b"PK\x03\x04 cut", "not a state dict"),
    ],
)
def test_what_is_no_state_dict_is_a_sentence(tmp_path, out, content, words):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        to_safetensors(path, out)
    with pytest.raises(UsageError, match="No such file"):
        to_safetensors(tmp_path / "nothing.pt", out)


def test_a_program_is_no_state_dict(tmp_path, out):
    path = tmp_path / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and still what people have
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 1), torch.ones(1, 2)), str(path))
    with pytest.raises(UsageError, match="TorchScript, not a state dict"):
        to_safetensors(path, out)


@pytest.mark.parametrize(
    "value", [torch.ones(2, 2).to_sparse(), {"extra": 1}], ids=["sparse", "extra state"]
)
def test_what_safetensors_cannot_hold_is_a_sentence(out, value):
    with pytest.raises(ModelError, match="safetensors"):
        save_tensors({"a": torch.ones(1), "b_extra_state": value}, out / "a.safetensors")
