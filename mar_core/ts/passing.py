"""Names that TorchServe's modules have in passing, because they import them, and handlers use.

``from ts.torch_handler.image_classifier import transforms`` works there, so it works here. A name
is looked up when it is asked for, so that nothing is imported for handlers that do not ask.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_passing", "passing_names"]

# By module: names as they are imported, or NAME=WHERE, WHERE being `module` or `module:name`.
# `logger` is the module's logger; the names of the standard library stand for themselves.
_HANDLER = (
    "abc importlib logging os time torch packaging logger "
    "timed=ts.handler_utils.timer:timed "
    "list_classes_from_module=ts.utils.util:list_classes_from_module "
    "load_label_mapping=ts.utils.util:load_label_mapping "
    "check_valid_pt2_backend=ts.utils.util:check_valid_pt2_backend "
    "ProfilerActivity=torch.profiler:ProfilerActivity profile=torch.profiler:profile "
    "record_function=torch.profiler:record_function "
    "psutil ort=onnxruntime xm=torch_xla.core.xla_model openvino torch_tensorrt "
    "ipex=intel_extension_for_pytorch"
)
_TYPING = "Dict=typing:Dict List=typing:List Optional=typing:Optional Tuple=typing:Tuple"
_MAPPING = "map_class_to_label=ts.utils.util:map_class_to_label"
_ERRORS = "merrors=ts.metrics.metric_cache_errors"
_DIMENSION = "Dimension=ts.metrics.dimension:Dimension"
_METRIC = "Metric=ts.metrics.metric:Metric"
_TYPES = "MetricTypes=ts.metrics.metric_type_enum:MetricTypes"
_RESPONSE = "create_predict_response=ts.protocol.otf_message_handler:create_predict_response"
_ENVELOPE = "BaseEnvelope=ts.torch_handler.request_envelope.base:BaseEnvelope"
_BASE_HANDLER = "BaseHandler=ts.torch_handler.base_handler:BaseHandler"
_VISION = "VisionHandler=ts.torch_handler.vision_handler:VisionHandler"
_PASSING = {
    "ts.async_service": (
        f"asyncio copy logging sys time traceback types logger {_RESPONSE} "
        "PREDICTION_METRIC=ts.service:PREDICTION_METRIC "
        "PredictionException=ts.utils.util:PredictionException "
        "retrieve_msg=ts.protocol.otf_message_handler:retrieve_msg Thread=threading:Thread "
        "Queue=queue:Queue Empty=queue:Empty AsyncQueue=asyncio.queues:Queue "
        "ThreadPoolExecutor=concurrent.futures.thread:ThreadPoolExecutor partial=functools:partial"
    ),
    "ts.context": f"os {_TYPING}",
    "ts.handler_utils.hf_batch_streamer": (
        f"{_TYPING} AutoTokenizer=transformers:AutoTokenizer "
        "TextIteratorStreamer=transformers:TextIteratorStreamer "
        "BaseStreamer=transformers.generation.streamers:BaseStreamer"
    ),
    "ts.handler_utils.micro_batching": (
        f"os queue threading time copy=copy:copy dataclass=dataclasses:dataclass {_TYPING} "
        "PROFILER_AVAILABLE=ts.torch_handler.base_handler:PROFILER_AVAILABLE"
    ),
    "ts.handler_utils.text_utils": "re",
    "ts.handler_utils.timer": "time torch",
    "ts.handler_utils.utils": f"importlib os Context=ts.context:Context {_RESPONSE}",
    "ts.metrics.caching_metric": (
        f"logging socket time logger {_DIMENSION} {_TYPES} "
        "MetricAbstract=ts.metrics.metric_abstract:MetricAbstract"
    ),
    "ts.metrics.metric": (
        "socket time OrderedDict=collections:OrderedDict Units=ts.metrics.unit:Units "
        f"{_TYPES} CachingMetric=ts.metrics.caching_metric:CachingMetric"
    ),
    "ts.metrics.metric_abstract": f"abc {_TYPES} Units=ts.metrics.unit:Units",
    "ts.metrics.metric_cache_abstract": (
        f"abc os {_ERRORS} {_DIMENSION} {_TYPES} "
        "MetricAbstract=ts.metrics.metric_abstract:MetricAbstract"
    ),
    "ts.metrics.metric_cache_errors": "yaml",
    "ts.metrics.metric_cache_yaml_impl": (
        f"logging yaml logger {_ERRORS} {_TYPES} "
        "CachingMetric=ts.metrics.caching_metric:CachingMetric "
        "MetricCacheAbstract=ts.metrics.metric_cache_abstract:MetricCacheAbstract"
    ),
    "ts.metrics.metric_collector": (
        "argparse logging sys system_metrics=ts.metrics.system_metrics "
        "check_process_mem_usage=ts.metrics.process_memory_metric:check_process_mem_usage"
    ),
    "ts.metrics.metric_encoder": f"json JSONEncoder=json:JSONEncoder {_DIMENSION} {_METRIC}",
    "ts.metrics.metrics_store": f"{_DIMENSION} {_METRIC}",
    "ts.metrics.process_memory_metric": "logging psutil",
    "ts.metrics.system_metrics": f"logging types psutil torch {_DIMENSION} {_METRIC}",
    "ts.model_loader": (
        "importlib json logging os uuid ABCMeta=abc:ABCMeta abstractmethod=abc:abstractmethod "
        f"{_TYPING} Service=ts.service:Service "
        "MetricsCacheYamlImpl=ts.metrics.metric_cache_yaml_impl:MetricsCacheYamlImpl "
        "list_classes_from_module=ts.utils.util:list_classes_from_module"
    ),
    "ts.model_service.model_service": (
        "ast json logging os time ABCMeta=abc:ABCMeta abstractmethod=abc:abstractmethod"
    ),
    "ts.protocol.otf_message_handler": (
        "io json logging os struct sys time torch deprecated=ts.utils.util:deprecated"
    ),
    "ts.service": (
        f"logging os time logger ts {_RESPONSE} "
        "get_yaml_config=ts.utils.util:get_yaml_config Context=ts.context:Context "
        "RequestProcessor=ts.context:RequestProcessor "
        "PredictionException=ts.utils.util:PredictionException"
    ),
    "ts.torch_handler.base_handler": _HANDLER,
    "ts.torch_handler.densenet_handler": (
        "importlib inspect io logging os time torch logger "
        "list_classes_from_module=ts.utils.util:list_classes_from_module"
    ),
    "ts.torch_handler.image_classifier": (
        f"torch F=torch.nn.functional transforms=torchvision.transforms {_MAPPING} {_VISION} "
        "timed=ts.handler_utils.timer:timed"
    ),
    "ts.torch_handler.image_segmenter": (
        f"torch T=torchvision.transforms {_VISION}"
    ),
    "ts.torch_handler.object_detector": (
        "torch transforms=torchvision.transforms torchvision_version=torchvision:__version__ "
        f"version=packaging.version {_MAPPING} {_VISION}"
    ),
    "ts.torch_handler.request_envelope.base": "ABC=abc:ABC abstractmethod=abc:abstractmethod",
    "ts.torch_handler.request_envelope.body": _ENVELOPE,
    "ts.torch_handler.request_envelope.json": (
        f"json b64decode=base64:b64decode chain=itertools:chain {_ENVELOPE}"
    ),
    "ts.torch_handler.request_envelope.kserve": f"json logging logger {_ENVELOPE}",
    "ts.torch_handler.request_envelope.kservev2": f"json logging logger np=numpy {_ENVELOPE}",
    "ts.torch_handler.text_classifier": (
        "logging torch F=torch.nn.functional logger "
        f"{_MAPPING} TokenReferenceBase=captum.attr:TokenReferenceBase "
        "ngrams_iterator=ts.handler_utils.text_utils:ngrams_iterator "
        "TextHandler=ts.torch_handler.text_handler:TextHandler"
    ),
    "ts.torch_handler.text_handler": (
        "logging os re string torch unicodedata F=torch.nn.functional logger ABC=abc:ABC "
        "CLEANUP_REGEX=ts.utils.util:CLEANUP_REGEX "
        "CONTRACTION_MAP=ts.torch_handler.contractions:CONTRACTION_MAP "
        "CONTRACTIONS_PATTERN=builtin_handlers.contractions:CONTRACTIONS_PATTERN "
        "LayerIntegratedGradients=captum.attr:LayerIntegratedGradients "
        f"get_tokenizer=ts.handler_utils.text_utils:get_tokenizer {_BASE_HANDLER}"
    ),
    "ts.torch_handler.unit_tests.test_utils.mock_context": (
        "os torch uuid MetricsStore=ts.metrics.metrics_store:MetricsStore "
        "get_yaml_config=ts.utils.util:get_yaml_config"
    ),
    "ts.torch_handler.unit_tests.test_utils.model_dir": (
        f"shutil request=urllib.request urlparse=urllib.parse:urlparse {_TYPING} Path=pathlib:Path"
    ),
    "ts.torch_handler.vision_handler": (
        "base64 io torch ABC=abc:ABC Image=PIL.Image "
        f"IntegratedGradients=captum.attr:IntegratedGradients {_BASE_HANDLER}"
    ),
    "ts.utils.hf_utils": "snapshot_download=huggingface_hub:snapshot_download",
    "ts.utils.timeit_decorator": "time wraps=functools:wraps",
    "ts.utils.util": (
        "enum inspect itertools json logging os re yaml logger "
        "warn=warnings:warn wraps=functools:wraps"
    ),
    "ts.version": "os Path=pathlib:Path",
}  # fmt: skip


def passing_names(module: str) -> dict[str, str]:
    """The names that a module of TorchServe's has in passing, and where each is from."""
    words = _PASSING.get(module, "").split()
    return {word.partition("=")[0]: word.rpartition("=")[2] for word in words}


def in_passing(module: str, name: str, *, load: Callable[[str], Any]) -> Any:
    """What a name in passing stands for.

    Args:
        module: TorchServe's module.
        name: The name.
        load: Gives the module that stands for one of TorchServe's.

    Raises:
        AttributeError: The module has no such name; or the library that it is from is not here.
    """
    names = passing_names(module)
    if name not in names:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    if name == "logger":
        return logging.getLogger(module)
    home, _, member = names[name].partition(":")
    try:
        is_theirs = home.partition(".")[0] == "ts"
        found = load(home) if is_theirs else importlib.import_module(home)
        return getattr(found, member) if member else found
    except ImportError as error:
        missing = f"module {module!r} has no attribute {name!r}: {error}"
        raise AttributeError(missing) from error
