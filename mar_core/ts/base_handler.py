"""``ts.torch_handler.base_handler``: what handlers inherit, method by method as in TorchServe."""

from __future__ import annotations

import abc
import logging
import os
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from mar_core.ts.compile import compiled, keeps_outputs
from mar_core.ts.computing import computing, model_options
from mar_core.ts.context import context_at_work
from mar_core.ts.device import handler_device
from mar_core.ts.timer import profiler_arguments, timed
from mar_core.ts.util import LABELS, PredictionException, label_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from mar_core.ts.context import Context
    from mar_core.weights.weights_format import ModelSource

__all__ = [
    "IPEX_AVAILABLE",
    "ONNX_AVAILABLE",
    "PROFILER_AVAILABLE",
    "PT2_AVAILABLE",
    "PT230_AVAILABLE",
    "XLA_AVAILABLE",
    "BaseHandler",
    "setup_ort_session",
]  # fmt: skip

logger = logging.getLogger(__name__)

PROFILER_AVAILABLE = PT2_AVAILABLE = PT230_AVAILABLE = True  # in every torch that mar runs with
XLA_AVAILABLE = find_spec("torch_xla") is not None
ONNX_AVAILABLE = find_spec("onnxruntime") is not None
IPEX_AVAILABLE = False

NOT_IMPLEMENTED = 501


def setup_ort_session(model_pt_path: str, map_location: str | None) -> Any:
    """A session of onnxruntime's for an ONNX model, on the GPU where that is wanted and can be.

    Args:
        model_pt_path: The model's file.
        map_location: ``cuda``, or anything else for the CPU.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = os.cpu_count() or 1
    wanted = ["CUDAExecutionProvider"] if map_location == "cuda" else []
    there = onnxruntime.get_available_providers()
    providers = [one for one in wanted if one in there] + ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model_pt_path, options, providers=providers)


class BaseHandler(abc.ABC):  # noqa: B024 - every method has a default, as in TorchServe
    """Loads a model and answers batches of requests: preprocess, inference, postprocess.

    Inherit from it and override what differs.

    Attributes:
        model: The loaded model.
        mapping: Names of classes from ``index_to_name.json``, or None.
        device: Where the model is.
        initialized: Whether ``initialize`` has ended.
        context: The context of the batch at work.
        manifest: The manifest.
        map_location: ``cpu``, ``cuda``, ``mps`` or ``xpu``.
        explain: Whether an explanation has been asked for.
        target: The class to explain.
        profiler_args: Arguments of ``torch.profiler.profile``.
        model_yaml_config: The archive's model-config.yaml.
        signature: What the handler takes and gives, as
            ``{"inputs": [FIELD, …], "outputs": [FIELD, …]}`` in plain values: mar reads it from the
            source, without importing anything. What is left out is inherited. An installed handler
            whose archives differ names a function, ``"package.module:function"``: it is called with
            the open archive and the options under `handler:`, and returns the same.
        stages_independent: Says that the stages share nothing but what ``initialize`` has set, so
            that they may work on different batches at once. A class that overrides a stage says it
            anew.
        reads_by_context: Says that files of the archive are found through the context alone, as
            ``context.files`` or its ``model_dir``, never in the current folder: nothing has to be
            unpacked. A class that overrides ``initialize``, ``handle`` or a stage says it anew.
        bucket_by_length: Says that inputs of one length make a faster batch, as texts that are
            padded do, so that ``mar run`` may put neighbours of about one length together.
        model_options: Says that ``dtype``, ``channels_last`` and ``cuda_graphs`` under `handler:`
            in model-config.yaml mean here what they mean for the built-in handlers. A class that
            inherits says it anew: the keys under `handler:` are its own.
        model_autocast: Says that ``dtype`` leaves the weights alone and is ``torch.autocast``'s,
            for networks with operations that exist in float32 only.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = None
    stages_independent: ClassVar[bool] = True
    reads_by_context: ClassVar[bool] = True
    bucket_by_length: ClassVar[bool] = False
    model_options: ClassVar[bool] = True
    model_autocast: ClassVar[bool] = False

    # Also on the class, for handlers that do not call super().__init__().
    model: Any = None
    mapping: dict[str, str] | None = None
    device: Any = None
    initialized: bool = False
    manifest: Any = None
    map_location: str | None = None
    explain: bool = False
    target: Any = 0
    profiler_args: dict[str, Any] = {}  # noqa: RUF012 - never changed in place
    _weights_path: Any = None  # a path, or the archive's files and the name of the weights
    _model_source: Any = None  # what is being loaded, for the methods that load it

    def __init__(self) -> None:
        self.model = None
        self.mapping = None
        self.device = None
        self.initialized = False
        self.context = None
        self.model_pt_path = None
        self.manifest = None
        self.map_location = None
        self.explain = False
        self.target = 0
        self.profiler_args = {}

    @property
    def context(self) -> Any:
        """The context of the batch at work, in this thread; else the one that was set last."""
        found = context_at_work(self)
        return vars(self).get("context") if found is None else found

    @context.setter
    def context(self, context: Any) -> None:
        vars(self)["context"] = context

    @property
    def model_pt_path(self) -> str | None:
        """The path of the serialized file, which is unpacked when it is asked for; or None."""
        if isinstance(self._weights_path, tuple):
            files, name = self._weights_path
            self._weights_path = str(files.path(name))
        path: str | None = self._weights_path
        return path

    @model_pt_path.setter
    def model_pt_path(self, path: str | None) -> None:
        self._weights_path = path

    def initialize(self, context: Context) -> None:
        """Choose the device, load the model, compile it where asked, and read the names of classes.

        Args:
            context: The manifest, the folder of the archive and its config.

        Raises:
            ModelError: The model cannot be loaded.
        """
        from mar_core.weights.loading import context_files, load_model

        properties = context.system_properties
        self.model_yaml_config = getattr(context, "model_yaml_config", None) or {}
        self.map_location, self.device = handler_device(properties.get("gpu_id"))
        self.manifest = context.manifest
        files = context_files(context)
        serialized_file = self.manifest["model"].get("serializedFile")
        self._weights_path = (files, serialized_file) if serialized_file else None
        self.model = self._computing(load_model(self, context))
        self.mapping = label_mapping(files.read(LABELS), LABELS)
        self.initialized = True

    def model_from_source(self, source: ModelSource) -> object | None:  # noqa: ARG002 - for others
        """Load the model in a way that only this handler knows.

        The device, ``pt2`` and what `handler:` says of the network are seen to, as for any model.

        Args:
            source: What the archive holds, the device, and whether the user trusts it.

        Returns:
            Something callable on the device, in evaluation mode; None leaves it to mar.

        Raises:
            ModelError: It cannot be loaded.
        """
        return None

    def _computing(self, model: Any) -> Any:
        """A loaded model, made ready to compute as model-config.yaml says."""
        return computing(
            compiled(model, self.model_yaml_config),
            model_options(self, self.model_yaml_config),
            device=self.device,
            autocast=self.model_autocast,
            keeps_outputs=keeps_outputs(self.model_yaml_config),
        )

    def _load_torchscript_model(self, model_pt_path: str) -> Any:
        """Load a TorchScript file onto the device.

        Args:
            model_pt_path: The file.
        """
        import torch

        return torch.jit.load(model_pt_path, map_location=self.device)  # type: ignore[no-untyped-call]

    def _use_torch_export_aot_compile(self) -> bool:
        """Whether the config says that the weights are a library that AOTInductor compiled."""
        wanted = (getattr(self, "model_yaml_config", None) or {}).get("pt2")
        export = wanted.get("export") if isinstance(wanted, dict) else None
        return bool(isinstance(export, dict) and export.get("aot_compile"))

    def _load_torch_export_aot_compile(self, model_so_path: str) -> Any:
        """Load a shared library that AOTInductor compiled.

        Args:
            model_so_path: The file.
        """
        import torch

        return torch._export.aot_load(model_so_path, str(self.device))  # noqa: SLF001

    def _load_pickled_model(
        self, model_dir: str, model_file: str, model_pt_path: str | None
    ) -> torch.nn.Module:
        """Make the network that a file defines and load a state dict into it.

        Args:
            model_dir: The folder of the archive.
            model_file: The file in it that defines one class.
            model_pt_path: The state dict, or None to leave the network as it is made.

        Raises:
            ModelError: The file is missing, does not hold exactly one network, or the state dict
                does not fit.
        """
        from mar_core.weights.model_file import load_network
        from mar_core.weights.state_dict import load_state_dict

        model = load_network(model_dir, model_file)
        if model_pt_path:
            load_state_dict(model, model_pt_path, device=self.device, source=self._model_source)
        return model

    @timed
    def preprocess(self, data: Any) -> Any:
        """Turn a batch into one tensor on the device.

        Args:
            data: Requests as ``{"data": …}`` or ``{"body": …}``, or bare values: nested lists,
                numbers, tensors, or JSON as text. All of one shape.

        Returns:
            A tensor of shape ``(batch, …)``; its dtype follows from the values.

        Raises:
            PredictionException: A request has neither ``data`` nor ``body``, or the values do not
                make a tensor.
        """
        from mar_core.ts.items import as_tensor

        return as_tensor(data, self.device)

    @timed
    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the model without gradients.

        Args:
            data: The model's input; moved to the device where it can be.
            *args: Handed to the model.
            **kwargs: Handed to the model.
        """
        import torch

        with torch.inference_mode():
            marshalled = data.to(self.device) if hasattr(data, "to") else data
            return self.model(marshalled, *args, **kwargs)

    @timed
    def postprocess(self, data: Any) -> list[Any]:
        """Turn the model's output into one result for each request.

        Args:
            data: A tensor of shape ``(batch, …)``.

        Returns:
            Nested lists, one for each request.
        """
        result: list[Any] = data.tolist()
        return result

    def handle(self, data: Any, context: Context) -> list[Any]:
        """Answer a batch.

        Args:
            data: The requests.
            context: The context of this batch. The header ``explain: True`` of its first request
                asks for explanations, ``describe: True`` for a description of the handler.

        Returns:
            One result for each request.
        """
        output: list[Any]
        start = time.perf_counter()
        self.context = context
        if self.manifest is None:
            self.manifest = context.manifest
        if os.environ.get("ENABLE_TORCH_PROFILER"):
            output, _ = self._infer_with_profiler(data=data)
        elif self._is_describe():
            output = [self.describe_handle()] * max(len(data), 1)
        else:
            prepared = self.preprocess(data)
            if self._is_explain():
                output = self.explain_handle(prepared, data)
            else:
                output = self.postprocess(self.inference(prepared))
        elapsed = round((time.perf_counter() - start) * 1000, 2)
        context.metrics.add_time("HandlerTime", elapsed, None, "ms")
        return output

    def _infer_with_profiler(self, data: Any) -> tuple[Any, Any]:
        """Answer a batch under PyTorch's profiler.

        Args:
            data: The requests.

        Returns:
            The results, and the profiler.
        """
        from torch.profiler import profile, record_function

        model_name = (self.manifest or {}).get("model", {}).get("modelName") or ""
        self.profiler_args = profiler_arguments(self.profiler_args, model_name)
        output: Any
        with profile(**self.profiler_args) as profiler:
            with record_function("preprocess"):
                prepared = self.preprocess(data)
            if self._is_explain():
                with record_function("explain"):
                    output = self.explain_handle(prepared, data)
            else:
                with record_function("inference"):
                    output = self.inference(prepared)
                with record_function("postprocess"):
                    output = self.postprocess(output)
        table = profiler.key_averages().table(sort_by="cpu_time_total", row_limit=10)
        logger.info("%s", table)
        return output, profiler

    def explain_handle(self, data_preprocess: Any, raw_data: Any) -> Any:
        """Explain the model's answers with the handler's ``get_insights``.

        Args:
            data_preprocess: What ``preprocess`` returned.
            raw_data: The requests; the first one's ``target`` is the class to explain, else 0.

        Raises:
            PredictionException: The handler has no ``get_insights``.
        """
        inputs, target = None, 0
        row = raw_data[0]
        if isinstance(row, dict):
            inputs = row.get("data") or row.get("body")
            target = row.get("target") or 0
        get_insights = getattr(self, "get_insights", None)
        if get_insights is None:
            raise PredictionException(
                f"{type(self).__name__} cannot explain: it has no get_insights(data, raw, target)",
                NOT_IMPLEMENTED,
            )
        return get_insights(data_preprocess, inputs, target)

    def _is_explain(self) -> bool:
        asked = self._asked("explain")
        self.explain = self.explain or asked
        return asked

    def _is_describe(self) -> bool:
        return self._asked("describe")

    def _asked(self, header: str) -> bool:
        return bool(self.context) and self.context.get_request_header(0, header) == "True"

    def describe_handle(self) -> Any:
        """What to answer to a request for a description; None unless overridden."""
        return None

    def get_device(self) -> Any:
        """The device that the model is on."""
        return self.device
