"""``ts.handler_utils.micro_batching``: a batch goes through the stages in small parts."""

from __future__ import annotations

import contextvars
import functools
import os
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.ts.context import Context

__all__ = ["HANDLER_METHODS", "MicroBatching", "WorkerThread"]

HANDLER_METHODS = ["preprocess", "inference", "postprocess"]


@dataclass(eq=False)
class WorkerThread:
    """One thread of a stage.

    Attributes:
        event: Set once the thread is done.
        thread: The thread.
    """

    event: threading.Event
    thread: threading.Thread


class _Stage:
    """The threads of one stage, and the queue that they take work from."""

    def __init__(self, name: str) -> None:
        self.threads: list[WorkerThread] = []
        self._name = name
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        if not self.threads:
            raise RuntimeError("MicroBatching was shut down; set its parallelism to start it again")
        future: Future[Any] = Future()
        self._queue.put((future, work))
        return future

    def resize(self, count: int) -> None:
        """Start threads, or end some after what is queued."""
        for _ in range(count - len(self.threads)):
            event = threading.Event()
            thread = threading.Thread(
                target=_work, args=(self._queue, event), name=f"mar-{self._name}", daemon=True
            )
            thread.start()
            self.threads.append(WorkerThread(event, thread))
        self.release(len(self.threads) - count)
        while len(self.threads) > count:
            for worker in [one for one in self.threads if one.event.wait(0.01)]:
                self.threads.remove(worker)

    def release(self, count: int) -> None:
        """Let some threads end, without waiting for them."""
        for _ in range(count):
            self._queue.put(None)


def _work(
    queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None], done: threading.Event
) -> None:
    """Do what is queued until None is; knows nothing of its owner, which may go meanwhile."""
    while (item := queue.get()) is not None:
        future, work = item
        del item
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)
        del future, work
    done.set()


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
        self._stages = {stage: _Stage(stage) for stage in HANDLER_METHODS}
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
        for name, stage in self._stages.items():
            stage.resize(max(self._parallelism.get(name, 1), 1))

    @property
    def thread_groups(self) -> dict[str, list[WorkerThread]]:
        """The threads of each stage."""
        return {name: list(stage.threads) for name, stage in self._stages.items()}

    def shutdown(self) -> None:
        """End all threads, after what they have begun."""
        for stage in self._stages.values():
            stage.resize(0)

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
        # Nothing is waited for: the last reference may be dropped in one of these threads.
        for stage in getattr(self, "_stages", {}).values():
            stage.release(len(stage.threads))

    def _submit(self, index: int, part: Any) -> Future[Any]:
        """Queue one part in every stage; each waits for the stage before it."""
        value: Callable[[], Any] = lambda: part  # noqa: E731
        for name, stage in self._stages.items():
            run = contextvars.copy_context().run
            future = stage.submit(functools.partial(run, self._run, name, index, value))
            value = future.result
        return future

    def _run(self, stage: str, index: int, value: Callable[[], Any]) -> Any:
        data = value()
        self._local.index = index
        return getattr(self.handler, stage)(data)
