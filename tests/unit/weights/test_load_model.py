"""Every weights format, loaded by its content and compared with plain PyTorch."""

from __future__ import annotations

import io
import os
import pickle
import re
import sys
import types
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import weightsfaults
from unpacked import initialized, network, network_source, unpack
from weightsfiles import saved

from mar_core import BaseHandler, ModelError, hookimpl
from mar_core.plugins import new_manager
from mar_core.weights.loading import mar_load_model

PICTURES = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def model():
    return network("colours")


def load(
    tmp_path,
    weights=None,
    *,
    name="weights.bin",
    model_file=True,
    trust=False,
    loaders=None,
    **more,
):
    files = {} if weights is None else {name: weights}
    keys = {} if weights is None else {"serializedFile": name}
    if model_file:
        files["model.py"] = more.pop("source", network_source("colours"))
        keys["modelFile"] = "model.py"
    context = unpack(tmp_path / "m", files, **keys, **more)
    context.system_properties["allow_pickle"] = trust
    context.model_loaders = loaders
    return initialized(BaseHandler(), context).model


def scripted(model) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(model), stream)
    return stream.getvalue()


def exported(model, *, batch: int | None = None) -> bytes:
    shapes = None if batch else ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (PICTURES[: batch or 2],), dynamic_shapes=shapes)
    stream = io.BytesIO()
    torch.export.save(program, stream)
    return stream.getvalue()


def same(got, model):
    with torch.inference_mode():
        torch.testing.assert_close(got(PICTURES), model(PICTURES), rtol=0, atol=1e-6)
    return True


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.weights", "w"])
def test_a_state_dict_of_any_name(tmp_path, model, name):
    got = load(tmp_path, saved(model.state_dict()), name=name)
    assert same(got, model)
    assert not got.training


def test_a_legacy_state_dict(tmp_path, model):
    weights = saved(model.state_dict(), _use_new_zipfile_serialization=False)
    assert same(load(tmp_path, weights), model)


def test_safetensors(tmp_path, model):
    weights = safetensors.torch.save(model.state_dict())
    assert same(load(tmp_path, weights, name="w.pt"), model)


@pytest.mark.parametrize("model_file", [True, False])
@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.torchscript"])
def test_torchscript_needs_no_model_file_and_ignores_one(tmp_path, model, name, model_file):
    assert same(load(tmp_path, scripted(model), name=name, model_file=model_file), model)


def test_an_exported_program(tmp_path, model):
    got = load(tmp_path, exported(model), name="w.pt2", model_file=False, trust=True)
    assert same(got, model)
    assert same(got.eval().train(), model)


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_an_exported_program_of_one_batch_size_takes_any(tmp_path, model, batch):
    program = exported(model, batch=batch) if batch <= 5 else exported_for(model, batch)
    assert same(load(tmp_path, program, model_file=False, trust=True), model)


def exported_for(model, batch: int) -> bytes:
    stream = io.BytesIO()
    torch.export.save(torch.export.export(model, (torch.zeros(batch, 3, 16, 16),)), stream)
    return stream.getvalue()


def test_a_model_without_weights(tmp_path):
    source = network_source("colours").replace(
        "self.classes = torch.nn.Linear(8, 3)",
        "self.classes = torch.nn.Linear(8, 3); torch.nn.init.constant_(self.classes.weight, 2.0)",
    )
    got = load(tmp_path, source=source)
    assert (got.classes.weight == 2).all()
    assert not got.training


def test_a_whole_pickled_module_only_where_pickles_are_trusted(tmp_path, model):
    whole = saved(model)
    with pytest.raises(ModelError, match=r"holds more than tensors \(networks\.colours\.Colours\)"):
        load(tmp_path, whole, model_file=False)
    with pytest.raises(ModelError, match="--trust"):
        load(tmp_path, whole)
    assert same(load(tmp_path, whole, model_file=False, trust=True), model)
    assert same(load(tmp_path, whole, trust=True), model)


def test_a_pickled_module_whose_class_is_in_the_archive(tmp_path, model):
    space = {"__name__": "shapes"}
    exec(network_source("colours"), space)  # noqa: S102
    cls = space["Colours"]
    whole = pickled_as(cls, model, "shapes")
    context = unpack(
        tmp_path / "m",
        {"w.pt": whole, "shapes.py": network_source("colours")},
        serializedFile="w.pt",
    )
    context.system_properties["allow_pickle"] = True
    assert same(initialized(BaseHandler(), context).model, model)
    with pytest.raises(ModelError, match=r"pickled with a class that is not here"):
        load(tmp_path / "other", whole, model_file=False, trust=True)


def test_a_module_that_a_script_pickled_as_its_own(tmp_path, model):
    space = {"__name__": "__main__"}
    exec(network_source("colours"), space)  # noqa: S102
    whole = pickled_as(space["Colours"], model, "__main__")
    assert same(load(tmp_path, whole, trust=True), model)
    with pytest.raises(ModelError, match=r"pickled with a class that is not here.*--model-file"):
        load(tmp_path, whole, model_file=False, trust=True)


def pickled_as(cls, model, module: str) -> bytes:
    """The model pickled as if its class had been importable under a name that is gone now."""
    copy = cls().eval()
    copy.load_state_dict(model.state_dict())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module, types.ModuleType(module))
        setattr(sys.modules[module], cls.__name__, cls)
        return saved(copy)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_the_environment_cannot_weaken_the_loading(tmp_path, model, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary = tmp_path / "canary"
    weights = saved({**model.state_dict(), "extra": Hostile(canary)})
    with pytest.raises(ModelError, match="could run any code"):
        load(tmp_path, weights)
    assert not canary.exists()
    load(tmp_path, saved({"state_dict": model.state_dict(), "extra": Hostile(canary)}), trust=True)
    assert canary.exists()  # the trap works where it is let


def test_an_exported_program_is_loaded_on_the_users_word_alone(tmp_path, model):
    with pytest.raises(ModelError, match=r"is a torch.export program.*Pass --trust"):
        load(tmp_path, exported(model), model_file=False)


def repacked(data: bytes, ending: str, change) -> bytes:
    """The same zip with the record of that ending changed."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith(ending) else content)
    return target.getvalue()


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_checkpoints_of_training_scripts(tmp_path, model, wrapper):
    optimizer = torch.optim.Adam(model.parameters())
    checkpoint = {wrapper: model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    assert same(load(tmp_path, saved(checkpoint)), model)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_names_of_wrappers_used_in_training(tmp_path, model, prefix):
    state = {f"{prefix}{key}": value for key, value in model.state_dict().items()}
    assert same(load(tmp_path, saved(state)), model)


PARALLEL = """
import torch

class Parallel(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.module = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.module(x)
"""


def test_a_network_whose_own_names_begin_so_keeps_them(tmp_path):
    linear = torch.nn.Linear(4, 3)
    state = {f"module.{key}": value for key, value in linear.state_dict().items()}
    got = load(tmp_path, saved(state), source=PARALLEL)
    assert torch.equal(got.module.weight, linear.weight)


def test_keys_that_do_not_fit_are_named(tmp_path, model):
    state = model.state_dict()
    state["head.weight"] = state.pop("classes.weight")
    state["features.bias"] = torch.zeros(4)
    with pytest.raises(ModelError) as caught:
        load(tmp_path, saved(state))
    assert str(caught.value) == (
        "weights.bin does not fit Colours: 1 missing: classes.weight; 1 unexpected: head.weight; "
        "1 of another shape: features.bias (4 in the file, 8 in the model). Give the model file "
        "that these weights were trained with."
    )


def test_weights_alone_need_a_model_file(tmp_path, model):
    for weights in (saved(model.state_dict()), safetensors.torch.save(model.state_dict())):
        with pytest.raises(ModelError, match=r"holds weights alone.*--model-file"):
            load(tmp_path, weights, model_file=False)


def test_nothing_at_all(tmp_path):
    with pytest.raises(ModelError, match="neither a model file nor a weights file"):
        load(tmp_path, model_file=False)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "w.pt is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "w.pt is text.*git lfs pull"),
        (pickle.dumps({"a": 1}), "w.pt is a Python pickle that torch.save did not write"),
        (b"PK\x03\x04" + b"\0" * 60, "w.pt is a zip that PyTorch did not write, or a damaged one"),
        (b"\xff\xd8\xff\xe0 jpeg", "w.pt is in no format that mar or an installed plugin knows"),
    ],
)
def test_files_that_are_no_weights(tmp_path, content, sentence):
    with pytest.raises(ModelError, match=sentence):
        load(tmp_path, content, name="w.pt")


def test_numpy_arrays_are_refused_with_the_way_out(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, weight=np.zeros(3))
    with pytest.raises(ModelError, match=r"w.pt is a NumPy file. Turn its arrays into tensors"):
        load(tmp_path, stream.getvalue(), name="w.pt")


def test_a_state_dict_of_something_else(tmp_path):
    with pytest.raises(ModelError, match="holds a dict of 'epoch', not a state dict"):
        load(tmp_path, saved({"epoch": 3}))
    with pytest.raises(ModelError, match="holds an object of Tensor, not a state dict"):
        load(tmp_path, saved(torch.zeros(3)))


def test_missing_members(tmp_path, model):
    context = unpack(tmp_path / "m", {}, serializedFile="w.pt", modelFile="model.py")
    with pytest.raises(ModelError, match=r"weights file 'w.pt' is not in the archive"):
        initialized(BaseHandler(), context)
    context = unpack(
        tmp_path / "m", {"w.pt": saved(model.state_dict())}, serializedFile="w.pt", modelFile="n.py"
    )
    with pytest.raises(ModelError, match=r"model file 'n.py' is not in the archive"):
        initialized(BaseHandler(), context)


def test_a_model_file_with_two_networks_or_none(tmp_path, model):
    source = network_source("colours")
    two = f"{source}\n\nclass Second(torch.nn.Module):\n    pass\n"
    with pytest.raises(ModelError, match=r"exactly one .* class; it has Colours, Second"):
        load(tmp_path, saved(model.state_dict()), source=two)
    with pytest.raises(ModelError, match="it has none"):
        load(tmp_path / "none", saved(model.state_dict()), source="from torch.nn import Linear\n")


def test_what_a_model_file_without_a_class_is_told_to_write_works(tmp_path):
    model = network("resnet18")
    source = "from networks.resnet18 import ResNet18 as resnet18\n"
    with pytest.raises(ModelError) as refused:
        load(tmp_path / "one", saved(model.state_dict()), source=source)
    assert "class Network(resnet18): pass" in (refused.value.hint or "")
    source = "import functools\ndef make():\n    from networks.resnet18 import ResNet18\n"
    source += "    return ResNet18()\n"
    with pytest.raises(ModelError) as refused:
        load(tmp_path / "two", saved(model.state_dict()), source=source)
    assert refused.value.hint is not None
    written = re.findall("`(.*?)`", refused.value.hint)
    assert written == ["import torch", "class Network(torch.nn.Module):",
                       "def __new__(cls): return make()"]  # fmt: skip
    source += "{}\n{}\n    {}\n".format(*written)
    assert same(load(tmp_path / "three", saved(model.state_dict()), source=source), model)


def test_helpers_in_a_model_file_do_not_count(tmp_path, model):
    source = f"{network_source('colours')}\n\nclass Options:\n    width = 3\n"
    assert same(load(tmp_path, saved(model.state_dict()), source=source), model)


def test_a_network_that_needs_arguments(tmp_path, model):
    source = network_source("colours").replace("def __init__(self)", "def __init__(self, width)")
    with pytest.raises(ModelError, match=r"Colours of model.py cannot be made without width"):
        load(tmp_path, saved(model.state_dict()), source=source)


def test_weights_are_mapped_not_copied(tmp_path, model):
    got = load(tmp_path, saved(model.state_dict()))
    maps = (tmp_path / "m" / "weights.bin").resolve()
    address = got.features.weight.data_ptr()
    assert address_is_mapped(address, str(maps))


def address_is_mapped(address: int, file: str) -> bool:
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split(maxsplit=5)
        start, end = (int(part, 16) for part in span.split("-"))
        if start <= address < end:
            return name.strip() == file
    return False


def test_half_precision_weights_take_the_networks_type(tmp_path, model):
    half = {
        key: value.half() if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }
    got = load(tmp_path, saved(half))
    assert got.features.weight.dtype is torch.float32
    plain = network("colours")
    plain.load_state_dict(half)
    assert same(got, plain)


def test_tied_parameters_stay_tied(tmp_path):
    tied = network("tied")
    state = {name: value for name, value in tied.state_dict().items() if name != "second.weight"}
    got = load(tmp_path, safetensors.torch.save(state), source=network_source("tied"))
    assert got.first.weight is got.second.weight
    rows = torch.randn(3, 4)
    torch.testing.assert_close(got(rows), tied(rows))


def test_a_handler_may_load_in_its_own_way(tmp_path, model):
    calls = []

    class Own(BaseHandler):
        def _load_pickled_model(self, model_dir, model_file, model_pt_path):
            calls.append((model_dir, model_file, model_pt_path))
            return super()._load_pickled_model(model_dir, model_file, model_pt_path)

        def _load_torchscript_model(self, model_pt_path):
            calls.append(model_pt_path)
            return super()._load_torchscript_model(model_pt_path)

    folder = tmp_path / "m"
    files = {"w.pt": saved(model.state_dict()), "model.py": network_source("colours")}
    context = unpack(folder, files, serializedFile="w.pt", modelFile="model.py")
    assert same(initialized(Own(), context).model, model)
    context = unpack(folder, {"s.pt": scripted(model)}, serializedFile="s.pt")
    assert same(initialized(Own(), context).model, model)
    assert calls == [(str(folder), "model.py", str(folder / "w.pt")), str(folder / "s.pt")]


def test_a_plugin_comes_first(tmp_path, model):
    class Doubled:
        @hookimpl
        def mar_load_model(self, handler, context, source):
            assert context.manifest["model"]["serializedFile"] == source.name == "weights.bin"
            assert (source.kind, source.device.type, source.trusted) == ("torch", "cpu", False)
            assert type(source.network()).__name__ == "Colours"
            return "mine"

    manager = new_manager()
    manager.register(Doubled())
    assert load(tmp_path, saved(model.state_dict()), loaders=manager) == "mine"
    with pytest.raises(ModelError, match=r"No loader took 'weights.bin'"):
        load(tmp_path, saved(model.state_dict()), loaders=new_manager())


def test_our_loaders_come_last():
    assert mar_load_model.mar_impl["trylast"]


def test_torchscript_that_cannot_be_read(tmp_path, model):
    broken = repacked(scripted(model), ".py", lambda code: code.replace(b"def ", b"xyz "))
    with pytest.raises(ModelError, match="is TorchScript that cannot be loaded"):
        load(tmp_path, broken, model_file=False)


@pytest.mark.parametrize("shape", [[0, 2**64 - 1], [0, 2**62, 2**62]])
def test_no_elements_of_sizes_past_all_numbers(tmp_path, shape):
    """Sound by the format's rules; PyTorch has no such tensor, or one that does not fit."""
    weights = weightsfaults.safetensors_with({"a": weightsfaults.entry(shape, [0, 0])})
    with pytest.raises(ModelError):
        load(tmp_path, weights)


def test_damaged_weights(tmp_path, model):
    weights = bytearray(safetensors.torch.save(model.state_dict()))
    weights[8:14] = b'{"x":{'
    with pytest.raises(ModelError, match=r"weights.bin cannot be read"):
        load(tmp_path, bytes(weights))
