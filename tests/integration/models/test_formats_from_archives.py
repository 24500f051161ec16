"""Each weights format, from ``mar archive`` to an answer, equals plain PyTorch."""

from __future__ import annotations

import io
import warnings

import pytest
import safetensors.torch
import torch
from unpacked import NETWORKS, network
from weightsfiles import saved

from mar_core import ModelError, ValidationError, load
from mar_core.testing import make_archive

PICTURES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def scripted(model):
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(model), stream)
    return stream.getvalue()


def exported(model):
    stream = io.BytesIO()
    torch.export.save(torch.export.export(model, (PICTURES[:2],)), stream)
    return stream.getvalue()


FORMATS = {
    "state dict": (True, lambda model: saved(model.state_dict())),
    "checkpoint": (True, lambda model: saved({"state_dict": model.state_dict(), "epoch": 3})),
    "legacy": (
        True, lambda model: saved(model.state_dict(), _use_new_zipfile_serialization=False)
    ),
    "safetensors": (True, lambda model: safetensors.torch.save(model.state_dict())),
    "torchscript": (False, scripted),
    "exported": (False, exported),
    "pickled": (True, saved),
}  # fmt: skip


@pytest.fixture(params=FORMATS)
def packed(request, tmp_path):
    """How an archive of that format is made, and the model that is in it."""
    needs_file, write = FORMATS[request.param]
    model = network("colours")
    weights = tmp_path / "weights.bin"
    weights.write_bytes(write(model))
    flags = {"handler": "base_handler", "serialized_file": weights}
    if needs_file:
        flags["model_file"] = NETWORKS / "colours.py"
    return request.param, flags, model


@pytest.mark.parametrize("stored", ["default", "zip-store", "tgz", "no-archive"])
def test_results_equal_plain_pytorch(packed, stored, tmp_path):
    name, flags, model = packed
    trust = name in {"pickled", "exported"}
    archive = make_archive(tmp_path, archive_format=stored, allow_pickle=trust, **flags)
    with load(archive, allow_pickle=trust, batch_size=3) as served:
        results = served.predict([{"data": picture.tolist()} for picture in PICTURES])
    with torch.inference_mode():
        torch.testing.assert_close(torch.tensor(results), model(PICTURES), rtol=0, atol=1e-6)


def test_a_pickled_module_is_refused_at_both_ends(tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(saved(network("colours")))
    flags = {"handler": "base_handler", "serialized_file": weights}
    with pytest.raises((ValidationError, ModelError), match="--allow-pickle"):
        make_archive(tmp_path, **flags)
    archive = make_archive(tmp_path, allow_pickle=True, **flags)
    with pytest.raises((ValidationError, ModelError), match="--allow-pickle"), load(archive):
        pass


def test_a_model_without_weights(tmp_path):
    source = tmp_path / "constant.py"
    source.write_text(
        "import torch\n\nclass Constant(torch.nn.Module):\n"
        "    def forward(self, x):\n        return x * 2\n"
    )
    archive = make_archive(tmp_path, handler="base_handler", model_file=source)
    with load(archive) as served:
        assert served.predict([{"data": [1.0, 2.0]}]) == [[2.0, 4.0]]


def test_predictors_share_their_weights_through_the_page_cache(tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(saved(network("colours").state_dict()))
    archive = make_archive(
        tmp_path,
        handler="base_handler",
        serialized_file=weights,
        model_file=NETWORKS / "colours.py",
    )
    with load(archive) as first, load(archive) as second:
        models = [served.loaded.instance.model for served in (first, second)]
        models[0].classes.weight.data.zero_()  # written to: the page becomes its own
        assert models[1].classes.weight.abs().sum() > 0
    with load(archive) as third:
        assert third.loaded.instance.model.classes.weight.abs().sum() > 0
