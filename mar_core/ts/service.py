"""``ts.service``: a handler's entry with its context, called as a worker calls it."""

from __future__ import annotations

import inspect
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.ts.adapter import LoopThread
from mar_core.ts.context import Context, RequestProcessor, read_config
from mar_core.ts.metrics import metrics_for
from mar_core.ts.otf_message_handler import create_predict_response
from mar_core.ts.util import PredictionException
from mar_core.ts.version import SERVER_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mar_core.ts.metrics import MetricsCache

__all__ = [
    "PREDICTION_METRIC", "PredictionException", "Service", "answer", "emit_metrics",
    "error_message",
]  # fmt: skip

PREDICTION_METRIC = "PredictionTime"

OUT_OF_RESOURCES, UNAVAILABLE = 507, 503

logger = logging.getLogger(__name__)


class Service:
    """A handler's entry and the context that it is given.

    Args:
        model_name: The model's name.
        model_dir: The folder that holds the unpacked archive.
        manifest: The manifest as parsed, or None.
        entry_point: Takes a batch and the context, and answers it.
        gpu: The number of the accelerator, or None for the CPU.
        batch_size: The largest number of requests in a batch.
        limit_max_image_pixels: Whether very large images are refused.
        metrics_cache: Where the handler records metrics.

    Raises:
        ArchiveError: The config file that the manifest names cannot be read.
    """

    cl_socket: Any = None
    _loop: LoopThread | None = None

    def __init__(  # noqa: PLR0917 - TorchServe's signature
        self,
        model_name: str,
        model_dir: str,
        manifest: dict[str, Any] | None,
        entry_point: Callable[[Any, Context], Any],
        gpu: int | None,
        batch_size: int | None,
        limit_max_image_pixels: bool = True,  # noqa: FBT001, FBT002
        metrics_cache: MetricsCache | None = None,
    ) -> None:
        config_file = ((manifest or {}).get("model") or {}).get("configFile")
        config = read_config(Path(model_dir, config_file)) if config_file else {}
        if metrics_cache is None:
            metrics_cache = metrics_for(model_name, model_dir, config)
        self._context = Context(
            model_name,
            model_dir,
            manifest,
            batch_size,
            gpu,
            SERVER_VERSION,
            limit_max_image_pixels,
            metrics_cache,
            config,
        )
        self._entry_point = entry_point

    @property
    def context(self) -> Context:
        """The context that the handler is given."""
        return self._context

    def set_cl_socket(self, cl_socket: Any) -> None:
        """Say where answers are sent."""
        self.cl_socket = cl_socket

    @staticmethod
    def retrieve_data_for_inference(
        batch: Sequence[dict[str, Any]] | None,
    ) -> tuple[list[RequestProcessor], list[dict[str, Any]], dict[int, str]]:
        """Headers, data and ids of a batch, given as a worker receives it.

        Args:
            batch: For each request ``requestId`` in bytes, ``parameters`` with ``name``,
                ``contentType`` and ``value``, and ``headers`` with ``name`` and ``value`` in bytes.

        Raises:
            ValueError: There is no batch.
        """
        if batch is None:
            raise ValueError("Received invalid inputs. There is no batch.")
        headers = [RequestProcessor(_headers(request)) for request in batch]
        data = [{p["name"]: p["value"] for p in request["parameters"]} for request in batch]
        ids = {index: request["requestId"].decode() for index, request in enumerate(batch)}
        return headers, data, ids

    def predict(self, batch: Sequence[dict[str, Any]]) -> bytearray | None:
        """Answer a batch, given as a worker receives it.

        Args:
            batch: See ``retrieve_data_for_inference``.

        Returns:
            The message that TorchServe's server reads: the answers, or what went wrong.
        """
        context = self.context
        headers, data, ids = self.retrieve_data_for_inference(batch)
        context.request_ids, context.request_processor = ids, headers
        context.metrics.request_ids = ids
        context.cl_socket = self.cl_socket
        start = time.perf_counter()
        try:
            results = self._entry_point(data, context)
            if inspect.iscoroutine(results):
                results = self._completed(results)
        except Exception as error:  # noqa: BLE001 - handlers raise what they like
            return error_message(error, ids)
        return answer(results, data, context, time.perf_counter() - start)

    def _completed(self, coroutine: Any) -> Any:
        if self._loop is None:
            self._loop = LoopThread()
        return self._loop.complete(coroutine)


def error_message(error: Exception, ids: dict[int, str]) -> bytearray | None:
    """What a handler raised, as the message that TorchServe's server reads.

    Args:
        error: What it raised.
        ids: The ids of the requests by their place in the batch.
    """
    logger.error("The handler failed.", exc_info=error)
    if isinstance(error, PredictionException):
        return create_predict_response(None, ids, error.message, error.error_code)
    if isinstance(error, MemoryError) or "CUDA" in str(error):
        return create_predict_response(None, ids, "Out of resources", OUT_OF_RESOURCES)
    return create_predict_response(None, ids, "Prediction failed", UNAVAILABLE)


def answer(results: Any, data: list[Any], context: Context, seconds: float) -> bytearray | None:
    """What a handler returned, as the message that TorchServe's server reads.

    Args:
        results: What it returned.
        data: The requests.
        context: The context of the batch.
        seconds: How long it took.
    """
    ids = context.request_ids or {}
    if not isinstance(results, list):
        problem = "Invalid model predict output"
    elif len(results) != len(data):
        problem = "number of batch response mismatched"
    else:
        context.metrics.add_time(PREDICTION_METRIC, round(seconds * 1000, 2))
        return create_predict_response(results, ids, "Prediction success", 200, context)
    logger.warning("%s: %s.", context.model_name, problem)
    return create_predict_response(None, ids, problem, UNAVAILABLE)


def emit_metrics(metrics: Iterable[Any] | None) -> None:
    """Write metrics to the log in TorchServe's format."""
    for metric in metrics or ():
        text = str(metric)
        logger.info("%s", text if text.startswith("[METRICS]") else f"[METRICS]{text}")


def _headers(request: dict[str, Any]) -> dict[str, Any]:
    """The content type of each parameter, overlaid by the headers of the request."""
    parameters = {p["name"]: {"content-type": p["contentType"]} for p in request["parameters"]}
    sent = {h["name"].decode(): h["value"].decode() for h in request.get("headers") or ()}
    return {**parameters, **sent}
