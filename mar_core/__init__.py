"""Package a PyTorch model with the code that serves it, prove the archive sound, and run it.

Everything public is here, and in ``mar_core.testing``. Names are loaded when they are first used:
``import mar_core`` imports no torch.
"""

from __future__ import annotations

import importlib

# Not typing's: of `python -m mar_core` this is imported while the current folder, which may be an
# archive's, is still the first to be looked at.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from builtin_handlers.class_maps import class_map as class_map
    from builtin_handlers.images import decode_image as decode_image
    from builtin_handlers.images import to_rgb as to_rgb
    from builtin_handlers.vision_handler import VisionHandler as VisionHandler
    from mar_core.build.packing import Written as Written
    from mar_core.build.packing import archive as archive
    from mar_core.build.packing import create as create
    from mar_core.build.packing import write_archive as write_archive
    from mar_core.build.request import ArchiveFormat as ArchiveFormat
    from mar_core.build.request import ArchiveRequest as ArchiveRequest
    from mar_core.build.request import Imported as Imported
    from mar_core.build.request import Runtime as Runtime
    from mar_core.build.updating import update as update
    from mar_core.checks.checking import examine_in_child as examine_in_child
    from mar_core.checks.validation import validate as validate
    from mar_core.deprecations import MarDeprecationWarning as MarDeprecationWarning
    from mar_core.errors import ArchiveError as ArchiveError
    from mar_core.errors import HandlerError as HandlerError
    from mar_core.errors import InputError as InputError
    from mar_core.errors import ManifestError as ManifestError
    from mar_core.errors import MarError as MarError
    from mar_core.errors import MarWarning as MarWarning
    from mar_core.errors import ModelError as ModelError
    from mar_core.errors import OutputError as OutputError
    from mar_core.errors import PackagesError as PackagesError
    from mar_core.errors import PluginError as PluginError
    from mar_core.errors import UsageError as UsageError
    from mar_core.findings import Finding as Finding
    from mar_core.findings import Severity as Severity
    from mar_core.findings import ValidationError as ValidationError
    from mar_core.format import Archive as Archive
    from mar_core.format import ExtraFile as ExtraFile
    from mar_core.format import Member as Member
    from mar_core.format import open_archive as open_archive
    from mar_core.format.manifest import Manifest as Manifest
    from mar_core.format.yamltext import read_model_config as read_model_config
    from mar_core.handlers.code import import_file as import_file
    from mar_core.handlers.saved import SavedFiles as SavedFiles
    from mar_core.handlers.saved import hub_offline as hub_offline
    from mar_core.handlers.saved import keep_hub_offline as keep_hub_offline
    from mar_core.hookspecs import hookimpl as hookimpl
    from mar_core.plugins import PluginWarning as PluginWarning
    from mar_core.plugins import server_extensions as server_extensions
    from mar_core.records import EngineOption as EngineOption
    from mar_core.records import Failure as Failure
    from mar_core.records import Input as Input
    from mar_core.records import Outcome as Outcome
    from mar_core.records import Reader as Reader
    from mar_core.records import ReadOptions as ReadOptions
    from mar_core.records import Response as Response
    from mar_core.records import RunOptions as RunOptions
    from mar_core.records import RunSummary as RunSummary
    from mar_core.records import WriteOptions as WriteOptions
    from mar_core.records import Writer as Writer
    from mar_core.run.engines import Engine as Engine
    from mar_core.run.report import page_files as page_files
    from mar_core.run.writers.formats import Table as Table
    from mar_core.run.writers.formats import to_table as to_table
    from mar_core.runtime.async_worker import Answers as Answers
    from mar_core.runtime.async_worker import AsyncWorker as AsyncWorker
    from mar_core.runtime.async_worker import Running as Running
    from mar_core.runtime.deaths import Death as Death
    from mar_core.runtime.deaths import WorkerDied as WorkerDied
    from mar_core.runtime.file_watch import FileWatch as FileWatch
    from mar_core.runtime.local_workers import LocalWorkers as LocalWorkers
    from mar_core.runtime.machine import count_gpus as count_gpus
    from mar_core.runtime.machine import gpus_for as gpus_for
    from mar_core.runtime.predictor import Predictor as Predictor
    from mar_core.runtime.prepared import Prepared as Prepared
    from mar_core.runtime.protocol import Ready as Ready
    from mar_core.runtime.protocol import Reply as Reply
    from mar_core.runtime.recipe import Recipe as Recipe
    from mar_core.runtime.recipe import load as load
    from mar_core.runtime.requests import Request as Request
    from mar_core.runtime.values import to_json as to_json
    from mar_core.signature import Signature as Signature
    from mar_core.signature import SignatureField as SignatureField
    from mar_core.signature.declared import read_signature as read_signature
    from mar_core.text import did_you_mean as did_you_mean
    from mar_core.ts.adapter import NO_RESULT as NO_RESULT
    from mar_core.ts.base_handler import BaseHandler as BaseHandler
    from mar_core.ts.compile import compile_options as compile_options
    from mar_core.ts.context import Context as Context
    from mar_core.ts.device import handler_device as handler_device
    from mar_core.ts.device import stacked as stacked
    from mar_core.ts.device import to_device as to_device
    from mar_core.ts.items import as_text as as_text
    from mar_core.ts.items import bad_item as bad_item
    from mar_core.ts.items import each_item as each_item
    from mar_core.ts.items import fields_of as fields_of
    from mar_core.ts.items import from_base64 as from_base64
    from mar_core.ts.items import payload as payload
    from mar_core.ts.items import reject_item as reject_item
    from mar_core.ts.metrics import Dimension as Dimension
    from mar_core.ts.metrics import Metric as Metric
    from mar_core.ts.metrics import MetricDefinition as MetricDefinition
    from mar_core.ts.metrics import MetricsConfig as MetricsConfig
    from mar_core.ts.metrics import MetricTypes as MetricTypes
    from mar_core.ts.options import MODEL_OPTIONS as MODEL_OPTIONS
    from mar_core.ts.options import HandlerOption as HandlerOption
    from mar_core.ts.options import handler_options as handler_options
    from mar_core.ts.timer import timed as timed
    from mar_core.ts.util import PredictionException as PredictionException
    from mar_core.weights import ModelSource as ModelSource
    from mar_core.weights import TensorInfo as TensorInfo
    from mar_core.weights import Trust as Trust
    from mar_core.weights import WeightsFile as WeightsFile
    from mar_core.weights import WeightsFormat as WeightsFormat
    from mar_core.weights import WeightsReport as WeightsReport
    from mar_core.weights import identify as identify

_HOME = {
    "mar_core.ts.options": ("MODEL_OPTIONS", "HandlerOption", "handler_options",),
    "mar_core.text": ("did_you_mean",),
    "builtin_handlers.class_maps": ("class_map",),
    "builtin_handlers.images": ("decode_image", "to_rgb"),
    "builtin_handlers.vision_handler": ("VisionHandler",),
    "mar_core.build.request": ("ArchiveFormat", "ArchiveRequest", "Imported", "Runtime"),
    "mar_core.format": ("Archive", "ExtraFile", "Member", "open_archive"),
    "mar_core.deprecations": ("MarDeprecationWarning",),
    "mar_core.errors": (
        "ArchiveError", "HandlerError", "InputError", "ManifestError", "MarError", "MarWarning",
        "ModelError", "OutputError", "PackagesError", "PluginError", "UsageError",
    ),
    "mar_core.findings": ("Finding", "Severity", "ValidationError"),
    "mar_core.handlers.saved": ("SavedFiles", "hub_offline", "keep_hub_offline"),
    "mar_core.handlers.code": ("import_file",),
    "mar_core.hookspecs": ("hookimpl",),
    "mar_core.format.manifest": ("Manifest",),
    "mar_core.format.yamltext": ("read_model_config",),
    "mar_core.ts.adapter": ("NO_RESULT",),
    "mar_core.ts.base_handler": ("BaseHandler",),
    "mar_core.ts.context": ("Context",),
    "mar_core.ts.metrics": (
        "Dimension", "Metric", "MetricDefinition", "MetricTypes", "MetricsConfig",
    ),
    "mar_core.ts.compile": ("compile_options",),
    "mar_core.ts.device": ("handler_device", "stacked", "to_device"),
    "mar_core.ts.items": (
        "as_text", "bad_item", "each_item", "fields_of", "from_base64", "payload", "reject_item",
    ),
    "mar_core.ts.timer": ("timed",),
    "mar_core.ts.util": ("PredictionException",),
    "mar_core.plugins": ("PluginWarning", "server_extensions"),
    "mar_core.build.packing": ("Written", "archive", "create", "write_archive"),
    "mar_core.build.updating": ("update",),
    "mar_core.runtime.predictor": ("Predictor",),
    "mar_core.runtime.recipe": ("Recipe", "load"),
    "mar_core.run.engines": ("Engine",),
    "mar_core.records": (
        "EngineOption", "Failure", "Input", "Outcome", "Reader", "ReadOptions",
        "Response", "RunOptions", "RunSummary", "WriteOptions", "Writer",
    ),
    "mar_core.runtime.values": ("to_json",),
    "mar_core.signature": ("Signature", "SignatureField"),
    "mar_core.signature.declared": ("read_signature",),
    "mar_core.run.report": ("page_files",),
    "mar_core.run.writers.formats": ("Table", "to_table"),
    "mar_core.runtime.async_worker": ("Answers", "AsyncWorker", "Running"),
    "mar_core.runtime.deaths": ("Death", "WorkerDied"),
    "mar_core.runtime.file_watch": ("FileWatch",),
    "mar_core.runtime.machine": ("count_gpus", "gpus_for"),
    "mar_core.runtime.local_workers": ("LocalWorkers",),
    "mar_core.runtime.prepared": ("Prepared",),
    "mar_core.runtime.protocol": ("Ready", "Reply"),
    "mar_core.runtime.requests": ("Request",),
    "mar_core.checks.checking": ("examine_in_child",),
    "mar_core.checks.validation": ("validate",),
    "mar_core.weights": (
        "ModelSource", "TensorInfo", "Trust", "WeightsFile", "WeightsFormat", "WeightsReport",
        "identify",
    ),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted([*_MODULE_OF, "__version__"])  # noqa: PLE0605 - the table above is the one list


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib_metadata import version

        return version("mar-core")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
