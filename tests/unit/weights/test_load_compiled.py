"""Native code that AOTInductor compiled: packages, and the shared libraries from before them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch
from unpacked import initialized, unpack

from mar_core import BaseHandler, ModelError

pytestmark = pytest.mark.slow
ROWS = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
EXPORT = {"pt2": {"export": {"aot_compile": True}}}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU()).eval()


@pytest.fixture(scope="module")
def package(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "model.pt2"
    program = torch.export.export(model, (ROWS[:2],))
    torch._inductor.aoti_compile_and_package(program, package_path=str(path))
    return path.read_bytes()


@pytest.fixture(scope="module")
def library(package):
    """What a package holds is what was used before there were packages."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".so")]
        return archive.read(name)


def context_of(folder, weights, *, trust=True, **more):
    context = unpack(folder, {"compiled": weights}, serializedFile="compiled", **more)
    context.system_properties["allow_pickle"] = trust
    return context


def test_native_code_is_loaded_on_the_users_word_alone(tmp_path, package, library):
    for number, weights in enumerate((package, library)):
        context = context_of(tmp_path / str(number), weights, trust=False, config=EXPORT)
        with pytest.raises(ModelError, match=r"compiled is native code, .*Pass --trust"):
            initialized(BaseHandler(), context)


def test_a_package_takes_batches_of_any_size(tmp_path, model, package):
    handler = initialized(BaseHandler(), context_of(tmp_path, package))
    for size in (2, 1, 5, 4):
        with torch.inference_mode():
            expected = model(ROWS[:size])
        torch.testing.assert_close(handler.inference(ROWS[:size]), expected, rtol=0, atol=1e-6)
    assert handler.model.eval().to("cpu") is handler.model
    with pytest.raises(RuntimeError, match="unmatched dim value at 1"):
        handler.inference(ROWS[:2, :3])


def test_a_package_for_another_device(tmp_path, package):
    class Elsewhere(BaseHandler):
        def initialize(self, context):
            from mar_core.weights.loading import load_model

            self.device = torch.device("meta")
            load_model(self, context)

    with pytest.raises(ModelError, match=r"compiled was compiled for cpu, and this runs on meta"):
        initialized(Elsewhere(), context_of(tmp_path, package))


def test_a_damaged_package(tmp_path, package):
    broken = package.replace(b"\x7fELF", b"\x7fELV")
    with pytest.raises(ModelError, match="is compiled code that cannot be loaded here"):
        initialized(BaseHandler(), context_of(tmp_path, broken))


def test_a_shared_library_that_the_config_announces(tmp_path, model, library):
    handler = initialized(BaseHandler(), context_of(tmp_path, library, config=EXPORT))
    with torch.inference_mode():
        expected = model(ROWS)
    torch.testing.assert_close(handler.inference(ROWS), expected, rtol=0, atol=1e-6)


def test_a_handler_may_load_a_shared_library_in_its_own_way(tmp_path, library):
    class Own(BaseHandler):
        def _load_torch_export_aot_compile(self, model_so_path):
            assert Path(model_so_path).read_bytes() == library
            return lambda x: x + 1

    handler = initialized(Own(), context_of(tmp_path, library, config=EXPORT))
    torch.testing.assert_close(handler.inference(ROWS), ROWS + 1)


@pytest.mark.parametrize("config", [None, {"pt2": "inductor"}, {"pt2": {"export": {}}}])
def test_a_shared_library_that_nothing_announces(tmp_path, library, config):
    with pytest.raises(ModelError, match=r"nothing says that AOTInductor made it.*aot_compile"):
        initialized(BaseHandler(), context_of(tmp_path, library, config=config))
