"""Runs SageMaker's ``inference.py``: model_fn, input_fn, predict_fn, output_fn, or transform_fn."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from mar_core import BaseHandler, HandlerError, HandlerOption, handler_options, import_file
from mar_endpoints import arrays
from mar_endpoints.bodies import ANY, JSON, accepted, as_sent, body_of, header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mar_core import Context

__all__ = ["InferenceScript"]

PROGRAM_VARIABLE = "SAGEMAKER_PROGRAM"
ACCEPT_VARIABLE = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
_CODE = "code"
OPTIONS: Mapping[str, HandlerOption] = {
    "program": HandlerOption.text("the name of a file in code/"),
    "content_type": HandlerOption.text("a content type"),
    "accept": HandlerOption.text("a content type"),
}


class InferenceScript(BaseHandler):
    """Serves a model with the functions that its author wrote for SageMaker's PyTorch container.

    ``code/inference.py`` of the archive is imported as it is, with ``code/`` first on the path.
    What it does not define is the container's default: the model is loaded as ``base_handler``
    loads it, input is JSON, CSV or NPY, output is what the client accepts of these. Functions may
    take the context as one argument more.

    Options under ``handler:`` in model-config.yaml: ``program``, the file in ``code/`` (by default
    what SAGEMAKER_PROGRAM says, or ``inference.py``); ``content_type`` and ``accept``, for requests
    that do not say.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
        "inputs": [
            {
                "name": "data",
                "type": "json",
                "description": "What input_fn takes; by default JSON, CSV or NPY.",
            }
        ],
        "outputs": [
            {
                "name": "prediction",
                "type": "json",
                "description": "What output_fn gives; by default JSON, CSV or NPY.",
            }
        ],
    }

    def __init__(self) -> None:
        super().__init__()
        self._functions: dict[str, Callable[..., Any]] = {}
        self._options: dict[str, Any] = {}

    def initialize(self, context: Context) -> None:
        """Import the script and let it load the model.

        Raises:
            HandlerError: The script is not there, or defines what does not go together.
            ModelError: There is no ``model_fn``, and the model cannot be loaded.
        """
        self._options = handler_options(context.model_yaml_config, OPTIONS, handler="sagemaker")
        self._functions = self._read_functions(context)
        model_dir = str(context.system_properties["model_dir"])
        if "model_fn" not in self._functions:
            super().initialize(context)
        self.device = self.device or _device(context)
        self._call("pre_model_fn", model_dir, context=context, default=_nothing)
        if "model_fn" in self._functions:
            self.model = self._call("model_fn", model_dir, context=context, default=_nothing)
        warm_up = (model_dir, self.model)
        self._call("model_warmup_fn", *warm_up, context=context, default=_nothing)
        self.initialized = True

    def handle(self, data: Any, context: Context) -> list[Any]:
        """Answer each request by itself, as SageMaker's container does.

        Args:
            data: One row for each request.
            context: Its headers; the answers' content types go there.

        Raises:
            PredictionException: The default functions cannot read or write a request.
        """
        return [self._answer(row, index, context) for index, row in enumerate(data or ())]

    def _answer(self, row: Any, index: int, context: Context) -> Any:
        default = self._options.get("content_type", JSON)
        body, content_type = as_sent(
            body_of(row), header(context, index, "content-type"), default=default
        )
        accept = header(context, index, "accept")
        if not accept or accept == ANY:
            fallback = self._options.get("accept") or os.environ.get(ACCEPT_VARIABLE)
            accept = str(fallback or JSON)
        arguments = (self.model, body, content_type, accept)
        answer = self._call("transform_fn", *arguments, context=context, default=self._transform)
        kind = next(iter(accepted(accept)), JSON)
        if isinstance(answer, tuple):
            answer, kind = answer[0], str(answer[1])
        context.set_response_content_type(index, kind)
        return answer.encode() if isinstance(answer, str) else answer

    def _transform(
        self, model: Any, body: str | bytes, content_type: str, accept: str, context: Context
    ) -> Any:
        data = self._call("input_fn", body, content_type, context=context, default=self._input)
        prediction = self._call("predict_fn", data, model, context=context, default=self._predict)
        return self._call("output_fn", prediction, accept, context=context, default=arrays.encode)

    def _input(self, body: str | bytes, content_type: str) -> Any:
        value = arrays.decode(body, content_type)
        return value.to(self.device) if isinstance(value, torch.Tensor) else value

    def _predict(self, data: Any, model: Any) -> Any:
        if isinstance(model, torch.nn.Module):
            model = model.to(self.device).eval()
        data = data.to(self.device) if isinstance(data, torch.Tensor) else data
        more: dict[str, Any] = {}
        if isinstance(data, dict) and "inputs" in data:  # for a pipeline of transformers
            data, more = data["inputs"], data.get("parameters") or {}
        with torch.no_grad():
            return model(data, **more)

    def _call(
        self, name: str, *arguments: Any, context: Context, default: Callable[..., Any]
    ) -> Any:
        """Call the script's function, or the default, with the context where it takes that too."""
        function = self._functions.get(name, default)
        count = _parameters(function)
        if count == len(arguments) + 1:
            return function(*arguments, context)
        if count is not None and count != len(arguments):
            raise HandlerError(
                f"{name} takes {count} arguments, and SageMaker calls it with {len(arguments)}, or "
                "with the context as one more.",
                stage="inference",
            )
        return function(*arguments)

    def _read_functions(self, context: Context) -> dict[str, Callable[..., Any]]:
        program = str(
            self._options.get("program") or os.environ.get(PROGRAM_VARIABLE) or "inference.py"
        )
        program = program if program.endswith(".py") else f"{program}.py"
        model_dir = Path(str(context.system_properties["model_dir"]))
        if not (model_dir / _CODE / program).is_file() and "program" not in self._options:
            return {}
        script = import_file(context, f"{_CODE}/{program}")
        names = (
            "pre_model_fn", "model_fn", "model_warmup_fn", "transform_fn", "input_fn",
            "predict_fn", "output_fn",
        )  # fmt: skip
        found = {name: getattr(script, name) for name in names if hasattr(script, name)}
        clash = [name for name in ("input_fn", "predict_fn", "output_fn") if name in found]
        if "transform_fn" in found and clash:
            raise HandlerError(
                f"{program} defines transform_fn and {', '.join(clash)}, which it replaces.",
                stage="initialize",
                hint="Remove one or the other.",
            )
        return found


def _nothing(*_: Any) -> None:
    """The default of a function that need not be there."""


def _parameters(function: Callable[..., Any]) -> int | None:
    """How many arguments a function takes; None where it takes any number."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return len(parameters)


def _device(context: Context) -> torch.device:
    gpu = context.system_properties.get("gpu_id")
    return torch.device("cpu" if gpu is None else f"cuda:{gpu}")
