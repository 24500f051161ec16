"""``ts.service``: a handler's entry with its context, called as a worker calls it."""

from __future__ import annotations

import inspect
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.ts.context import Context, RequestProcessor, read_config
from mar_core.ts.event_loop import LoopThread
from mar_core.ts.metrics import metrics_for
from mar_core.ts.util import PredictionException
from mar_core.ts.version import SERVER_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mar_core.ts.metrics import MetricsCache

__all__ = ["PREDICTION_METRIC", "PredictionException", "Service", "emit_metrics"]

PREDICTION_METRIC = "PredictionTime"

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
        self._loop = LoopThread()
        self.cl_socket: Any = None

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
            raise ValueError("There is no batch.")
        headers = [RequestProcessor(_headers(request)) for request in batch]
        data = [{p["name"]: p["value"] for p in request["parameters"]} for request in batch]
        ids = {index: request["requestId"].decode() for index, request in enumerate(batch)}
        return headers, data, ids

    def predict(self, batch: Sequence[dict[str, Any]]) -> Any:
        """Answer a batch, given as a worker receives it.

        Args:
            batch: See ``retrieve_data_for_inference``.

        Returns:
            What the handler returned. TorchServe's own Service returns it encoded for its server.
        """
        context = self._context
        headers, data, ids = self.retrieve_data_for_inference(batch)
        context.request_ids, context.request_processor = ids, headers
        context.metrics.request_ids = ids
        context.cl_socket = self.cl_socket
        start = time.perf_counter()
        results = self._entry_point(data, context)
        if inspect.iscoroutine(results):
            results = self._loop.complete(results)
        elapsed = round((time.perf_counter() - start) * 1000, 2)
        context.metrics.add_time(PREDICTION_METRIC, elapsed)
        return results


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
