"""``BaseHandler``: what is overridden and read, and what it does where nothing is."""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import pytest
import torch
from handlerdirs import ask, context_of, lay_out

from mar_core import BaseHandler, PredictionException
from mar_core.errors import ModelError, UsageError
from mar_core.handlers.load import load_handler
from mar_core.ts.compile import compile_options
from mar_core.ts.context import begin_batch
from mar_core.ts.device import choose_gpu_id, handler_device

MODEL = """
    import torch
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(2, 2, bias=False)
            torch.nn.init.eye_(self.linear.weight)
        def forward(self, x, scale=1):
            return self.linear(x) * scale
"""


@pytest.fixture
def make(tmp_path):
    """Initializes a handler over the network above."""
    handlers = []

    def make(handler_class=BaseHandler, *, config="", files=None, **model):
        extra = {"configFile": "c.yaml"} if config else {}
        told = {"modelFile": "model.py", **extra, **model}
        every = {"model.py": MODEL, "c.yaml": config, **(files or {})}
        manifest, folder = lay_out(tmp_path / "m", every, **told)
        context = context_of(manifest, folder)
        handler = handler_class()
        handler.initialize(context)
        handlers.append(handler)
        return handler, context

    return make


def answer(handler, context, rows, **header):
    begin_batch(context, [str(n) for n in range(len(rows))], [header, *({} for _ in rows[1:])])
    return handler.handle(rows, context)


def test_attributes_before_and_after(make):
    fresh = BaseHandler()
    for name in ("model", "mapping", "device", "context", "model_pt_path", "manifest"):
        assert getattr(fresh, name) is None
    assert (fresh.initialized, fresh.explain, fresh.target) == (False, False, 0)
    assert (fresh.map_location, fresh.profiler_args) == (None, {})
    handler, context = make(files={"index_to_name.json": '{"0": "cat"}'})
    assert handler.initialized
    assert handler.manifest is context.manifest
    assert handler.map_location == "cpu"
    assert handler.device == handler.get_device() == torch.device("cpu")
    assert handler.mapping == {"0": "cat"}
    assert handler.model_pt_path is None
    assert handler.model_yaml_config == {}
    assert not handler.model.training


def test_profiler_args_are_each_handlers_own():
    one, two = BaseHandler(), BaseHandler()
    one.profiler_args["record_shapes"] = True
    assert two.profiler_args == {}


def test_the_serialized_file_is_named_by_its_path(make, tmp_path):
    (tmp_path / "m").mkdir()
    torch.save({"linear.weight": torch.full((2, 2), 2.0)}, tmp_path / "m" / "w.pt")
    handler, context = make(serializedFile="w.pt")
    assert handler.model_pt_path == str(tmp_path / "m" / "w.pt")
    assert answer(handler, context, [{"data": [1.0, 1.0]}]) == [[4.0, 4.0]]


@pytest.mark.parametrize(
    "rows",
    [
        [{"data": [1.0, 2.0]}, {"body": [3.0, 4.0]}],
        [[1.0, 2.0], [3.0, 4.0]],
        [{"data": "[1.0, 2.0]"}, {"body": b"[3.0, 4.0]"}],
        [{"body": {"data": [1.0, 2.0]}}, {"body": bytearray(b'{"data": [3.0, 4.0]}')}],
        [{"data": torch.tensor([1.0, 2.0])}, {"data": torch.tensor([3.0, 4.0])}],
        [{"data": np.array([1, 2], "f4")}, {"data": np.array([3, 4], "f4")}],
        [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])],
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        np.array([[1, 2], [3, 4]], "f4"),
    ],
)
def test_preprocess_takes_rows_and_bare_values(make, rows):
    handler, context = make()
    assert answer(handler, context, rows) == [[1.0, 2.0], [3.0, 4.0]]


def test_falsy_data_is_data():
    tensor = BaseHandler().preprocess([{"data": 0, "body": 5}, {"body": 1}])
    assert tensor.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"image": 1}], "The request has 'image', where 'data' or 'body' is expected."),
        ([{}], "The request has nothing, where"),
        ([{"data": "abc"}], "text or bytes that are not JSON"),
        ([{"data": b"\xff\xd8"}], "text or bytes that are not JSON"),
        ([{"data": [1.0]}, {"data": [1.0, 2.0]}], "do not make one tensor of numbers"),
        ([{"data": ["a"]}], "do not make one tensor of numbers"),
    ],
)
def test_preprocess_refuses(rows, sentence):
    with pytest.raises(PredictionException, match=sentence) as caught:
        BaseHandler().preprocess(rows)
    assert caught.value.error_code == 400


def test_inference_hands_arguments_on_and_keeps_no_gradients(make):
    handler, _ = make()
    result = handler.inference(torch.ones(1, 2), scale=3)
    assert result.tolist() == [[3.0, 3.0]]
    assert result.is_inference()


def test_a_subclass_without_super_init(make):
    class Skips(BaseHandler):
        def __init__(self):
            self.own = 1

    handler, context = make(Skips)
    assert answer(handler, context, [{"data": [1.0, 2.0]}]) == [[1.0, 2.0]]
    assert BaseHandler.model is None


def test_handle_sets_context_and_records_its_time(make):
    handler, context = make()
    found = []
    context.metrics.listener = found.append
    answer(handler, context, [{"data": [1.0, 2.0]}])
    assert handler.context is context
    assert [(one.name, one.unit, one.request_id) for one in found] == [
        ("HandlerTime", "Milliseconds", "0")
    ]


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ("handler:\n  profile: true\n", ["preprocess", "inference", "postprocess"]),
        ("handler:\n  profile: false\n", []),
        ("handler: text\n", []),
    ],
)
def test_stages_are_timed_where_the_config_says_so(make, config, names):
    handler, context = make(config=config)
    found = []
    context.metrics.listener = found.append
    answer(handler, context, [{"data": [1.0, 2.0]}])
    expected = [f"ts_handler_{name}" for name in names]
    assert [one.name for one in found] == [*expected, "HandlerTime"]
    assert all(one.value >= 0 for one in found)


# --- headers --------------------------------------------------------------------------------------


def test_description(make):
    class Described(BaseHandler):
        def describe_handle(self):
            return "mine"

    handler, context = make(Described)
    assert answer(handler, context, [{"data": 1}, {"data": 2}], describe="True") == ["mine"] * 2
    assert BaseHandler().describe_handle() is None
    plain = answer(handler, context, [{"data": [1.0, 2.0]}], describe="False")
    assert plain == [[1.0, 2.0]]


def test_explanation(make):
    class Explained(BaseHandler):
        def get_insights(self, tensor_data, raw_data, target=0):
            return [[tensor_data.tolist(), raw_data, target]]

    handler, context = make(Explained)
    row = {"data": [1.0, 2.0], "target": 1}
    assert not handler.explain
    assert answer(handler, context, [row], explain="True") == [[[[1.0, 2.0]], [1.0, 2.0], 1]]
    assert handler.explain
    without = {"body": [1.0, 2.0], "target": None}
    assert answer(handler, context, [without], explain="True")[0][2] == 0


def test_explaining_what_cannot_be_explained(make):
    handler, context = make()
    sentence = "BaseHandler cannot explain: it has no get_insights"
    with pytest.raises(PredictionException, match=sentence) as caught:
        answer(handler, context, [{"data": [1.0, 2.0]}], explain="True")
    assert caught.value.error_code == 501


# --- the profiler ---------------------------------------------------------------------------------


def test_profiling_by_the_environment(make, monkeypatch, tmp_path):
    monkeypatch.setenv("ENABLE_TORCH_PROFILER", "true")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    handler, context = make()
    assert answer(handler, context, [{"data": [1.0, 2.0]}]) == [[1.0, 2.0]]
    traces = list((tmp_path / "pytorch_profiler" / "m").glob("*.pt.trace.json"))
    assert len(traces) == 1
    names = {event.get("name") for event in json.loads(traces[0].read_text())["traceEvents"]}
    assert {"preprocess", "inference", "postprocess"} <= names


def test_own_profiler_arguments(make, monkeypatch):
    monkeypatch.setenv("ENABLE_TORCH_PROFILER", "true")
    done = []

    class Profiled(BaseHandler):
        def __init__(self):
            super().__init__()
            self.profiler_args = {
                "activities": [torch.profiler.ProfilerActivity.CPU],
                "on_trace_ready": done.append,
            }

        def get_insights(self, data, raw, target):
            return ["why"]

    handler, context = make(Profiled)
    assert answer(handler, context, [{"data": [1.0, 2.0]}], explain="True") == ["why"]
    assert {event.key for event in done[0].key_averages()} >= {"preprocess", "explain"}


# --- torch.compile --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pt2", "options"),
    [
        ("inductor", {"backend": "inductor"}),
        ({"backend": "eager", "mode": "default"}, {"backend": "eager", "mode": "default"}),
        ({"compile": {"enable": True}}, {}),
        (
            {"compile": {"enable": True, "backend": "eager", "dynamic": True}},
            {"backend": "eager", "dynamic": True},
        ),
        ({"compile": {"enable": False, "backend": "eager"}}, None),
        ({"compile": {"backend": "eager"}}, None),
        ({"export": {"aot_compile": True}}, None),
        (None, None),
        (False, None),
    ],
)
def test_compile_options(pt2, options):
    config = {"pt2": pt2}
    before = json.dumps(config)
    assert compile_options(config) == options
    assert json.dumps(config) == before
    assert compile_options({}) is compile_options(None) is None


@pytest.mark.parametrize("pt2", [["inductor"], 1, {"compile": "inductor"}])
def test_compile_options_of_wrong_types(pt2):
    with pytest.raises(ModelError, match=r"model-config\.yaml: pt2"):
        compile_options({"pt2": pt2})


@pytest.mark.parametrize(
    "config",
    ["pt2: eager", "pt2: {backend: eager}", "pt2: {compile: {enable: true, backend: eager}}"],
)
def test_the_model_is_compiled(make, config):
    handler, context = make(config=config)
    assert isinstance(handler.model, torch._dynamo.eval_frame.OptimizedModule)
    assert answer(handler, context, [{"data": [1.0, 2.0]}]) == [[1.0, 2.0]]


def test_compiled_code_of_an_archive_gives_the_same(make):
    handler, context = make(config="pt2: {compile: {enable: true, backend: aot_eager}}")
    for rows in ([[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]]):
        assert answer(handler, context, [{"data": row} for row in rows]) == rows


def test_a_backend_that_nobody_knows_is_warned_of(make, caplog):
    handler, context = make(config="pt2: no_such_backend")
    assert not isinstance(handler.model, torch._dynamo.eval_frame.OptimizedModule)
    assert "no_such_backend is not a backend of torch.compile" in caplog.text
    assert answer(handler, context, [{"data": [1.0, 2.0]}]) == [[1.0, 2.0]]


def test_a_backend_that_is_not_installed_is_warned_of(make, caplog):
    handler, _ = make(config="pt2: nvfuser")
    assert "could not be compiled and runs as it is" in caplog.text
    assert isinstance(handler.model, torch.nn.Module)


def test_what_is_no_network_is_not_compiled(make, caplog):
    class Callable(BaseHandler):
        def _load_pickled_model(self, model_dir, model_file, model_pt_path):
            return torch.jit.script(torch.nn.Linear(2, 2))

    with pytest.warns(FutureWarning, match="torch.jit.script"):
        handler, _ = make(Callable, config="pt2: eager")
    assert "cannot be compiled; it runs as it is" in caplog.text
    assert isinstance(handler.model, torch.jit.ScriptModule)


# --- devices --------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """Makes torch believe in other machines."""

    def make(*, cuda=0, mps=False, xpu=0):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cuda))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.xpu, "is_available", lambda: bool(xpu))
        monkeypatch.setattr(torch.xpu, "device_count", lambda: xpu)
        monkeypatch.setenv("TS_IPEX_GPU_ENABLE", "true" if xpu else "false")

    return make


@pytest.mark.parametrize(
    ("there", "gpu_id", "expected"),
    [
        ({}, None, ("cpu", "cpu")),
        ({}, 0, ("cpu", "cpu")),
        ({"cuda": 2}, None, ("cpu", "cpu")),
        ({"cuda": 2}, 1, ("cuda", "cuda:1")),
        ({"cuda": 2, "mps": True}, "0", ("cuda", "cuda:0")),
        ({"mps": True}, 0, ("mps", "mps")),
        ({"mps": True}, None, ("cpu", "cpu")),
        ({"xpu": 1, "mps": True}, 0, ("xpu", "xpu:0")),
    ],
)
def test_the_device_for_a_gpu_id(machine, there, gpu_id, expected):
    machine(**there)
    location, device = handler_device(gpu_id)
    assert (location, str(device)) == expected


def test_xla(machine, tmp_path, monkeypatch):
    machine()
    core = tmp_path / "torch_xla" / "core"
    core.mkdir(parents=True)
    (core / "xla_model.py").write_text("def xla_device():\n    return 'xla:0'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert handler_device(None) == (None, "xla:0")
    for name in [name for name in sys.modules if name.startswith("torch_xla")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("there", "device", "config", "expected"),
    [
        ({}, None, {}, None),
        ({}, None, {"deviceType": "gpu"}, None),
        ({"cuda": 2}, None, {}, 0),
        ({"cuda": 2}, None, {"deviceType": "cpu"}, None),
        ({"cuda": 2}, None, {"deviceIds": [1, 0]}, 1),
        ({"cuda": 2}, None, {"deviceIds": [1, 5]}, 0),
        ({"cuda": 2}, None, {"deviceIds": "1"}, 0),
        ({"cuda": 2}, "cpu", {}, None),
        ({"cuda": 2}, "cuda", {"deviceType": "cpu"}, 0),
        ({"cuda": 2}, "cuda:1", {"deviceIds": [0]}, 1),
        ({"mps": True}, "mps", {}, 0),
        ({"mps": True}, None, {}, 0),
        ({"xpu": 1}, None, {}, 0),
    ],
)
def test_the_choice_of_a_device(machine, there, device, config, expected):
    machine(**there)
    assert choose_gpu_id(device, config) == expected


@pytest.mark.parametrize(
    ("there", "device", "sentence"),
    [
        ({}, "cuda", "The device cuda is not there: PyTorch sees no accelerators"),
        ({"cuda": 1}, "cuda:1", "The device cuda:1 is not there: PyTorch sees 1 accelerator on"),
        ({}, "tpu", "There is no device 'tpu'. Choose one of cpu, cuda, cuda:N and mps."),
        ({}, "cuda:x", "There is no device 'cuda:x'"),
        ({}, "cpu:1", "There is no device 'cpu:1'"),
    ],
)
def test_devices_that_are_not_there(machine, there, device, sentence):
    machine(**there)
    with pytest.raises(UsageError, match=sentence):
        choose_gpu_id(device, {})


# --- names of classes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ('{"0": "cat"}', {"0": "cat"}),
        ('{"0": ["n1", "cat"]}', {"0": "cat"}),
        ('{"object_type_names": ["cat", "dog"]}', {"0": "cat", "1": "dog"}),
    ],
)
def test_mappings(make, text, mapping):
    handler, _ = make(files={"index_to_name.json": text})
    assert handler.mapping == mapping


def test_no_mapping(make, caplog):
    caplog.set_level(logging.INFO)
    handler, _ = make()
    assert handler.mapping is None
    assert "There is no index_to_name.json" in caplog.text


@pytest.mark.parametrize("text", ["[]", '{"0": 5}', '{"0": []}'])
def test_mappings_that_are_none(make, text):
    with pytest.raises(ValueError, match=r"index_to_name\.json"):
        make(files={"index_to_name.json": text})


def test_the_archives_own_model_is_found_also_without_a_loaded_handler(make):
    """As in the unit tests of handlers, which make a context and call initialize."""
    handler, _ = make()
    assert type(handler.model).__module__.startswith("mar_archives.m_")


def test_through_load_handler(tmp_path):
    manifest, folder = lay_out(
        tmp_path / "m", {"model.py": MODEL}, handler="base_handler", modelFile="model.py"
    )
    loaded = load_handler(manifest, folder)
    context = context_of(manifest, folder)
    loaded.initialize(context)
    assert ask(loaded, [{"data": [1.0, 2.0]}], context=context) == [[1.0, 2.0]]
    loaded.close()


def test_the_context_is_that_of_the_batch_that_a_thread_works_on():
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from mar_core.ts.context import working_on

    handler, other, both = BaseHandler(), BaseHandler(), Barrier(2)
    handler.context = "last"

    def stage(context):
        with working_on(handler, context):
            both.wait(60)
            return handler.context, other.context

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(stage, "ab")) == [("a", None), ("b", None)]
    assert handler.context == "last"
