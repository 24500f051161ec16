"""The ``ts.*`` names: what handlers import is found, and what is installed is left alone."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from handlerdirs import ask, loaded

import mar_core
from mar_core.ts import compat

TORCHSERVE = Path(sys.prefix) / "torchserve"

# What the handlers of TorchServe's own examples and tests, and of public projects, import.
IMPORTED = """
ts
ts.async_service:AsyncService
ts.context:Context,RequestProcessor
ts.handler_utils.hf_batch_streamer:TextIteratorStreamerBatch
ts.handler_utils.micro_batching:MicroBatching
ts.handler_utils.text_utils:get_tokenizer,ngrams_iterator
ts.handler_utils.timer:timed
ts.handler_utils.utils:import_class,send_intermediate_predict_response
ts.metrics.caching_metric:CachingMetric
ts.metrics.dimension:Dimension
ts.metrics.metric:Metric
ts.metrics.metric_cache_abstract:MetricCacheAbstract
ts.metrics.metric_cache_errors:MetricsCacheKeyError,MetricsCacheTypeError,MetricsCacheValueError
ts.metrics.metric_cache_yaml_impl:MetricsCacheYamlImpl
ts.metrics.metric_encoder:MetricEncoder
ts.metrics.metric_type_enum:MetricTypes
ts.metrics.metrics_store:MetricsStore
ts.metrics.process_memory_metric:check_process_mem_usage
ts.metrics.system_metrics:collect_all,cpu_utilization,system_metrics
ts.metrics.unit:Units
ts.model_loader:ModelLoaderFactory,TsModelLoader,ModelLoader
ts.model_service.model_service:ModelService,SingleNodeService
ts.protocol.otf_message_handler:send_intermediate_predict_response,create_predict_response
ts.service:PredictionException,Service,emit_metrics,PREDICTION_METRIC
ts.torch_handler.base_handler:BaseHandler,PROFILER_AVAILABLE,ONNX_AVAILABLE,PT2_AVAILABLE
ts.torch_handler.contractions:CONTRACTION_MAP
ts.torch_handler.densenet_handler:DenseNetHandler
ts.torch_handler.image_classifier:ImageClassifier
ts.torch_handler.image_segmenter:ImageSegmenter
ts.torch_handler.object_detector:ObjectDetector
ts.torch_handler.request_envelope.base:BaseEnvelope
ts.torch_handler.request_envelope.body:BodyEnvelope
ts.torch_handler.request_envelope.json:JSONEnvelope
ts.torch_handler.request_envelope.kserve:KServeEnvelope
ts.torch_handler.request_envelope.kservev2:KServev2Envelope
ts.torch_handler.text_classifier:TextClassifier
ts.torch_handler.text_handler:TextHandler
ts.torch_handler.unit_tests.test_utils.mock_context:MockContext
ts.torch_handler.unit_tests.test_utils.model_dir:download_model,copy_files
ts.torch_handler.vision_handler:VisionHandler
ts.utils.hf_utils:download_model
ts.utils.timeit_decorator:timeit
ts.utils.util:CLEANUP_REGEX,PT2Backend,PredictionException,check_valid_pt2_backend
ts.utils.util:list_classes_from_module,load_label_mapping,map_class_to_label,get_yaml_config
ts.version:__version__
""".split()  # noqa: SIM905 - a list in quotes would hide the names


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """The builtins of an archive's code."""
    folder = tmp_path_factory.mktemp("ts") / "m"
    with loaded(folder, {"handler.py": "def handle(data, context): return data"}) as handler:
        yield {"__builtins__": handler.code.builtins, "__name__": f"{handler.code.package}.x"}


@pytest.mark.parametrize("line", IMPORTED)
def test_handlers_find_what_they_import(line, space):
    module, _, names = line.partition(":")
    for name in filter(None, names.split(",")):
        exec(f"from {module} import {name}", space)  # noqa: S102 - as an archive's code does
        assert space[name] is getattr(compat.load(module), name)
    exec(f"import {module}", space)  # noqa: S102
    assert space["ts"] is compat.load("ts")
    assert eval(module, space) is compat.load(module)  # noqa: S307


def test_every_name_of_torchserves_own_modules_is_there_or_absent_on_purpose():
    """No module of the real package is forgotten."""
    tests, entry = ("unit_tests.test_", "unit_tests.conftest", "unit_tests.models"), "__"
    for path in (TORCHSERVE / "ts").rglob("*.py"):
        parts = path.relative_to(TORCHSERVE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        helper = "test_utils" in name
        if (any(word in name for word in tests) and not helper) or entry in name:
            continue
        package = (path.parent / "__init__.py") == path and not compat.offers(name)
        assert compat.offers(name) or compat.is_absent(name) or package, name


@pytest.mark.parametrize(
    "line", [line for line in IMPORTED if ":" in line and "hf_batch_streamer" not in line]
)
def test_public_names_of_the_real_module_that_handlers_use_are_ours_too(line):
    """The real module does define what the list above says handlers import of it."""
    module, _, names = line.partition(":")
    path = TORCHSERVE.joinpath(*module.split(".")).with_suffix(".py")
    defined = {
        name
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [node.name]
            if isinstance(node, (ast.ClassDef, ast.FunctionDef))
            else [target.id for target in node.targets if isinstance(target, ast.Name)]
            if isinstance(node, ast.Assign)
            else [alias.asname or alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert set(names.split(",")) <= defined


@pytest.mark.parametrize(
    "line",
    [
        "ts.handler_utils.distributed.deepspeed:get_ds_engine",
        "ts.handler_utils.distributed.pt_pippy:get_pipeline_driver",
        "ts.arg_parser:ArgParser",
        "ts.launcher:register_model,register_model_with_params,start,stop",
        "ts.model_server:start",
        "ts.model_service_worker:TorchModelServiceWorker",
        "ts.utils.setup_model_venv:create_venv",
        "ts.torch_handler.dali_handler:DALIHandler",
        "ts.torch_handler.dali_image_classifier:DALIImageClassifier",
        "ts.torch_handler.distributed.base_deepspeed_handler:BaseDeepSpeedHandler",
        "ts.torch_handler.distributed.base_pippy_handler:BasePippyHandler",
        "ts.torch_handler.trt_llm_handler:TRTLLMHandler",
        "ts.torch_handler.vllm_handler:VLLMHandler",
    ],
)
def test_names_that_mar_does_not_have_say_so_and_what_to_do(line, space):
    module, _, names = line.partition(":")
    assert TORCHSERVE.joinpath(*module.split(".")).with_suffix(".py").exists()
    sentence = rf"mar does not have TorchServe's {re.escape(module)}\. [A-Z].*\.$"
    with pytest.raises(compat.MissingNameError, match=sentence):
        exec(f"from {module} import {names}", dict(space))  # noqa: S102


def run(code, *path, cwd):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=cwd,
        env={"PYTHONPATH": ":".join(map(str, path)), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


HANDLER = """
from ts.torch_handler.base_handler import BaseHandler
import ts
class H(BaseHandler):
    def initialize(self, context):
        pass
    def handle(self, data, context):
        from ts.context import Context
        return [BaseHandler.__module__, Context.__module__, ts.__version__]
"""
LOAD = """
from pathlib import Path
from mar_core.ts.context import make_context
from mar_core.handlers.load import load_handler
from mar_core.format.manifest import Manifest
manifest = Manifest({"model": {"modelName": "m", "handler": "handler.py"}})
handler = load_handler(manifest, Path("m"))
print(*handler.entry([1], make_context(manifest, Path("m"))))
"""


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "handler.py").write_text(HANDLER)
    return tmp_path


OURS = ["mar_core.ts.base_handler", "mar_core.ts.context", "0.12.0"]


def test_without_torchserve(archive):
    code = LOAD + "import ts.context; print(ts.context.Context.__module__)"
    assert run(code, cwd=archive) == [*OURS, "mar_core.ts.context"]


def test_with_torchserve_installed_its_modules_are_left_alone(archive):
    """A handler answers as it does elsewhere, and the program's own ``ts`` is the real one."""
    code = """
        import ts.context
        real = ts.context.Context
    """
    after = """
import ts.utils.util
assert ts.context.Context is real
print(real.__module__, Path(ts.utils.util.__file__).parts[-3])
"""
    output = run(textwrap.dedent(code) + LOAD + after, TORCHSERVE, cwd=archive)
    assert output == [*OURS, "ts.context", "ts"]


def test_with_torchserve_installed_what_only_it_has_comes_from_it(archive):
    (archive / "m" / "handler.py").write_text(
        "from ts.launcher import stop\ndef handle(data, context):\n    return [stop.__module__]\n"
    )
    assert run(LOAD, TORCHSERVE, cwd=archive) == ["ts.launcher"]


def test_with_another_package_of_that_name(archive):
    other = archive / "other"
    (other / "ts").mkdir(parents=True)
    (other / "ts" / "__init__.py").write_text("NAME = 'timeseries'\n")
    (other / "ts" / "windows.py").write_text("SIZE = 7\n")
    (archive / "m" / "handler.py").write_text(
        "from ts.torch_handler.base_handler import BaseHandler\n"
        "from ts.windows import SIZE\n"
        "from ts import NAME\n"
        "def handle(data, context):\n    return [BaseHandler.__module__, SIZE, NAME]\n"
    )
    code = LOAD + "import ts, ts.windows; print(ts.NAME, ts.windows.SIZE, ts.__file__)"
    output = run(code, other, cwd=archive)
    assert output[:5] == ["mar_core.ts.base_handler", "7", "timeseries", "timeseries", "7"]
    assert output[5] == str(other / "ts" / "__init__.py")


def test_names_are_found_for_installed_code_too():
    compat.install_finder()
    module = importlib.import_module("ts.torch_handler.base_handler")
    assert module.BaseHandler is mar_core.BaseHandler
    assert module.__spec__.name == "mar_core.ts.base_handler"
    with pytest.raises(ModuleNotFoundError, match=r"ts\.vllm_nothing"):
        importlib.import_module("ts.vllm_nothing")


def test_a_local_ts_of_the_archive(tmp_path):
    files = {
        "handler.py": "import ts\ndef handle(data, context):\n    return [ts.MINE]\n",
        "ts.py": "MINE = 1\n",
    }
    with loaded(tmp_path / "m", files) as handler:
        assert ask(handler, [1]) == [1]
