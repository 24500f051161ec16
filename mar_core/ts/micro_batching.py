"""Micro-batching: a batch goes through the stages in small parts, several at once."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.ts.context import Context

__all__ = ["HANDLER_METHODS", "MicroBatching"]

HANDLER_METHODS = ["preprocess", "inference", "postprocess"]


class MicroBatching:
    """Stands in for a handler's ``handle``: ``self.handle = MicroBatching(self)``.

    While one part of a batch is in inference, the next is in preprocess. What a stage raises for
    one part is raised for the batch, after its other parts have ended.

    Args:
        parent_handler: The handler.
        micro_batch_size: How many requests a part holds.
        parallelism: Threads by stage; 1 where a stage is not named.
    """

    def __init__(
        self,
        parent_handler: Any,
        micro_batch_size: int = 1,
        parallelism: dict[str, int] | None = None,
    ) -> None:
        self.handler = parent_handler
        self.micro_batch_size = micro_batch_size
        self._parallelism: dict[str, int] = {}
        self._local = threading.local()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self.parallelism = parallelism or {}

    @property
    def parallelism(self) -> dict[str, int]:
        """Threads by stage, as set."""
        return dict(self._parallelism)

    @parallelism.setter
    def parallelism(self, parallelism: dict[str, int]) -> None:
        unknown = [stage for stage in parallelism if stage not in HANDLER_METHODS]
        if unknown or any(count < 0 for count in parallelism.values()):
            raise ValueError(
                f"parallelism takes {', '.join(HANDLER_METHODS)} with a number of threads each, "
                f"not {parallelism}."
            )
        self._parallelism.update(parallelism)
        for stage in HANDLER_METHODS:
            self._resize(stage, max(self._parallelism.get(stage, 1), 1))

    def shutdown(self) -> None:
        """End all threads."""
        for pool in self._pools.values():
            pool.shutdown()

    def get_micro_batch_idx(self) -> int | None:
        """In a stage: the number of the part at work, from 0; elsewhere None."""
        return getattr(self._local, "index", None)

    def handle(self, data: list[Any]) -> list[Any]:
        """Answer a batch part by part.

        Args:
            data: The requests.

        Returns:
            One result for each, in order.
        """
        size = self.micro_batch_size
        parts = [data[start : start + size] for start in range(0, len(data), size)]
        waiting = [self._submit(index, part) for index, part in enumerate(parts)]
        results = [(future.exception(), future) for future in waiting]
        for error, _ in results:
            if error is not None:
                raise error
        return [result for _, future in results for result in future.result()]

    def __call__(self, data: list[Any], context: Context) -> list[Any]:
        """Answer a batch as ``BaseHandler.handle`` does, but part by part."""
        handler, start = self.handler, time.perf_counter()
        handler.context = context
        output: list[Any]
        if os.environ.get("ENABLE_TORCH_PROFILER"):
            output, _ = handler._infer_with_profiler(data=data)  # noqa: SLF001 - TorchServe's name
        elif handler._is_describe():  # noqa: SLF001
            output = [handler.describe_handle()] * max(len(data), 1)
        elif handler._is_explain():  # noqa: SLF001
            output = handler.explain_handle(handler.preprocess(data), data)
        else:
            output = self.handle(data)
        elapsed = round((time.perf_counter() - start) * 1000, 2)
        context.metrics.add_time("HandlerTime", elapsed, None, "ms")
        return output

    def __del__(self) -> None:
        self.shutdown()

    def _resize(self, stage: str, threads: int) -> None:
        pool = self._pools.get(stage)
        if pool is not None and pool._max_workers == threads:  # noqa: SLF001 - has no public name
            return
        self._pools[stage] = ThreadPoolExecutor(threads, thread_name_prefix=f"mar-{stage}")
        if pool is not None:
            pool.shutdown()

    def _submit(self, index: int, part: Any) -> Future[Any]:
        """Queue one part in every stage; each waits for the stage before it."""
        value: Callable[[], Any] = lambda: part  # noqa: E731
        for stage in HANDLER_METHODS:
            context = contextvars.copy_context()
            future = self._pools[stage].submit(context.run, self._run, stage, index, value)
            value = future.result
        return future

    def _run(self, stage: str, index: int, value: Callable[[], Any]) -> Any:
        data = value()
        self._local.index = index
        return getattr(self.handler, stage)(data)
