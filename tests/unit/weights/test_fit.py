"""A state dict goes into a network as load_state_dict puts it, copied only where it must be."""

from __future__ import annotations

import pytest
import torch

from mar_core import ModelError
from mar_core.weights.state_dict import fit


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(2, 3)
        self.register_buffer("empty", torch.zeros(0))
        self.register_buffer("none", torch.zeros(0))
        self.register_buffer("count", torch.tensor(1))


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
        self.two.weight = self.one.weight


def state_of(model):
    return {
        name: (torch.rand(value.shape) * 9).to(value.dtype)
        for name, value in model.state_dict().items()
    }


def places(state):
    return {name: value.data_ptr() for name, value in state.items()}


def fitted(model, state):
    fit(model, state, name="w.pt")
    return model.state_dict()


def refused(model, state):
    with pytest.raises(ModelError) as told:
        fit(model, state, name="w.pt")
    return (
        str(told.value)
        .removesuffix(" Give the model file that these weights were trained with.")
        .removeprefix(f"w.pt does not fit {type(model).__name__}: ")
    )


def test_tensors_become_parameters_as_they_are():
    state = state_of(Network())
    found = fitted(Network(), dict(state))
    assert places(found) == places(state)


@pytest.mark.parametrize("name", ["first.weight", "count"])
def test_another_dtype_is_converted(name):
    state = state_of(Network())
    state[name] = state[name].double()
    found, expected = fitted(Network(), dict(state)), Network()
    expected.load_state_dict(state)
    for key, value in expected.state_dict().items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value)


def test_a_network_on_no_device_takes_them():
    with torch.device("meta"):
        model = Network()
    state = state_of(Network())
    found = fitted(model, dict(state))
    assert places(found) == places(state)
    assert not found["first.weight"].is_meta


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_prefixes_of_wrappers_are_taken_off(prefix):
    state = state_of(Network())
    found = fitted(Network(), {f"{prefix}{name}": value for name, value in state.items()})
    assert places(found) == places(state)


def test_prefixes_that_are_names_stay():
    wrapped = torch.nn.ModuleDict({"module": torch.nn.Linear(2, 2)})
    state = state_of(wrapped)
    assert places(fitted(wrapped, dict(state))) == places(state)
    some = {"module.weight": torch.ones(2, 2), "bias": torch.ones(2)}
    assert refused(torch.nn.Linear(2, 2), some) == (
        "1 missing: weight; 1 unexpected: module.weight."
    )
    assert refused(torch.nn.Linear(2, 2), {}) == "2 missing: weight, bias."


def test_parameters_that_are_one_stay_one():
    model = Tied()
    fit(model, {"one.weight": torch.full((2, 2), 5.0)}, name="w.safetensors")
    assert model.one.weight is model.two.weight
    assert model.two.weight.tolist() == [[5.0, 5.0]] * 2
    fit(model, {"two.weight": torch.full((2, 2), 6.0)}, name="w.safetensors")
    assert model.one.weight.tolist() == [[6.0, 6.0]] * 2
    both = {"one.weight": torch.full((2, 2), 7.0), "two.weight": torch.full((2, 2), 8.0)}
    fit(model, both, name="w.pt")
    assert model.one.weight is model.two.weight
    expected = Tied()
    expected.load_state_dict(both)
    assert torch.equal(model.one.weight, expected.one.weight)
    assert refused(Tied(), {}) == "2 missing: one.weight, two.weight."


def test_a_network_that_loads_in_its_own_way_does():
    class Own(torch.nn.Linear):
        def load_state_dict(self, state, strict=True):
            return super().load_state_dict({name: value * 2 for name, value in state.items()})

    found = fitted(Own(1, 1), {"weight": torch.ones(1, 1), "bias": torch.ones(1)})
    assert found["weight"].item() == 2


def test_what_a_module_keeps_besides_tensors_is_given_back():
    class Keeps(torch.nn.Linear):
        kept = None

        def get_extra_state(self):
            return {"kept": self.kept}

        def set_extra_state(self, state):
            self.kept = state["kept"]

    model = Keeps(1, 1)
    weight = torch.ones(1, 1)
    state = {"weight": weight, "bias": torch.ones(1), "_extra_state": {"kept": 7}}
    assert fitted(model, state)["weight"].data_ptr() == weight.data_ptr()
    assert model.kept == 7


def test_what_differs_is_said():
    state = state_of(Network())
    del state["empty"]
    state |= {"first.weight": torch.ones(3, 4), "count": torch.ones(2, dtype=torch.int64)}
    more = {f"x{number}": torch.ones(1) for number in range(5)}
    assert refused(Network(), state_of(Network()) | more) == "5 unexpected: x0, x1, x2, x3, x4."
    state |= more | {"x5": torch.ones(1), "x6": torch.ones(1)}
    assert refused(Network(), state) == (
        "1 missing: empty; 7 unexpected: x0, x1, x2, x3, x4 and 2 more; 2 of another shape: "
        "count (2 in the file, one number in the model), "
        "first.weight (3×4 in the file, 3×2 in the model)."
    )
