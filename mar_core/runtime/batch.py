"""A batch on its way through the stages; one bad request does not sink the others."""

from __future__ import annotations

import contextlib
import copy
import logging
import operator
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.records import PLAIN_RESPONSE, Failure, Outcome, Response
from mar_core.runtime.failures import (
    OUT_OF_RESOURCES,
    failure_of,
    free_device_memory,
    is_out_of_memory,
)
from mar_core.runtime.feed import Row, read
from mar_core.runtime.lanes import Passage
from mar_core.text import plural
from mar_core.ts.context import begin_batch
from mar_core.ts.items import rejections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mar_core.records import Input
    from mar_core.runtime.lanes import Lanes
    from mar_core.runtime.lifecycle import LifeCycle
    from mar_core.ts.context import Context, RequestProcessor

__all__ = ["Batch", "BatchRunner"]

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class BatchRunner:
    """Runs batches through one handler.

    Attributes:
        life: The handler's life cycle.
        context: The context that it was initialized with.
        explain: Ask for explanations in place of predictions.
        independent: Give each batch a context of its own, for stages that overlap.
        caught: What counts as the handler's failure. In a worker that is everything.
        lanes: The device's streams, where stages that overlap use several.
        whole: A batch that fails is not tried in pieces: its requests have a state in the handler.
        model_lock: Held around inference, so that a retry never meets the next batch in the model.
        out_of_memory_at: The size of the smallest batch that ran out of memory, or None.
        batch_fault_told: Whether it has been said that the handler fails with batches alone.
    """

    life: LifeCycle
    context: Context
    explain: bool = False
    independent: bool = False
    caught: tuple[type[BaseException], ...] = (Exception, SystemExit)
    lanes: Lanes | None = None
    whole: bool = False
    model_lock: threading.Lock = field(default_factory=threading.Lock)
    out_of_memory_at: int | None = None
    batch_fault_told: bool = False

    def run(self, inputs: Sequence[tuple[int, Input]]) -> list[Outcome]:
        """Read and run one batch from beginning to end.

        Args:
            inputs: Each with its place in the run.

        Returns:
            One outcome for each, in order.
        """
        return self.read(inputs).run()

    def read(self, inputs: Sequence[tuple[int, Input]]) -> Batch:
        """Read the inputs of a batch; those that cannot be read have their outcome already."""
        start = time.perf_counter()
        found = [read(index, source, caught=self.caught) for index, source in inputs]
        self.life.add_seconds("read", time.perf_counter() - start)
        return Batch(
            self,
            [one for one in found if isinstance(one, Row)],
            done=[one for one in found if isinstance(one, Outcome)],
        )

    def note_batch_fault(self, error: BaseException, stage: str, size: int) -> None:
        """Say, once, that the handler fails with batches and not with their requests."""
        if not self.batch_fault_told:
            self.batch_fault_told = True
            failure = failure_of(error, stage)
            logger.warning(
                "%s failed in %s with a batch of %d, though not with its requests one by one: "
                "%s: %s. They were answered one by one; use --batch-size 1, or mend the handler.",
                self.life.loaded.name, stage, size, failure.type, failure.message.rstrip("."),
            )  # fmt: skip

    def note_out_of_memory(self, size: int) -> None:
        """Remember that a batch of this size was too large."""
        self.out_of_memory_at = min(size, self.out_of_memory_at or size)


class Batch:
    """Requests that share each call of a stage.

    Args:
        runner: What runs it.
        requests: The requests, read.
        done: Outcomes that are known already.
        sink: Takes the parts that the handler sends ahead, with the ``index`` of their request, as
            they are made; without one they are kept for the outcomes.
        tries: How often its requests have been tried before, in larger batches.

    Attributes:
        requests: Those that have not failed by themselves.
        seconds: Wall-clock seconds by stage.
    """

    def __init__(
        self,
        runner: BatchRunner,
        requests: list[Row],
        *,
        done: Sequence[Outcome] = (),
        sink: Callable[[int, Any], None] | None = None,
        tries: int = 0,
    ) -> None:
        self.requests = requests
        self.seconds: dict[str, float] = {}
        self._runner = runner
        self._done = list(done)
        self._data: Any = None
        self._sink = sink
        self._tries = tries
        self._chunks: dict[int, list[Any]] = {}
        self._begun: set[int] = set()
        self._stage = "preprocess"
        self._error: BaseException | None = None
        self._passage = None if runner.lanes is None else Passage(runner.lanes)
        self._context = copy.copy(runner.context) if runner.independent else runner.context
        # As in TorchServe, the first request's header speaks for its batch.
        asked = bool(requests) and requests[0].headers.get("explain") == "True"
        self._explain = runner.explain or asked

    def run(self) -> list[Outcome]:
        """All stages, one after the other."""
        self.preprocess()
        self.inference()
        return self.outcomes()

    def preprocess(self) -> None:
        """Point the context at these requests and run the first stage."""
        if not self.requests:
            return
        rows = [request.row for request in self.requests]
        life = self._runner.life
        rejecting: contextlib.AbstractContextManager[dict[int, Exception]] = (
            rejections() if life.loaded.independent else contextlib.nullcontext({})
        )
        with rejecting as rejected:
            try:
                self._begin()
                self._data = self._stage_of(life.preprocess, rows)
            except self._runner.caught as error:
                self._error = error
        if rejected and (self._error is None or len(rejected) == len(rows)):
            self._leave_out(rejected)

    def inference(self) -> None:
        """Run the model on what the first stage gave."""
        if self._error is not None or not self.requests or self._explain:
            return
        self._stage = "inference"
        with self._runner.model_lock:
            try:
                self._data = self._stage_of(self._runner.life.inference, self._data)
            except self._runner.caught as error:
                self._error = error

    def outcomes(self) -> list[Outcome]:
        """Run the last stage and say what became of each request, retrying where it failed."""
        if self.requests and self._error is None:
            try:
                if self._passage is None:
                    self._done.extend(self._succeed())
                else:
                    self._done.extend(self._succeed_on_device(self._passage))
            except self._runner.caught as error:
                self._error = error
        if self._error is not None:
            self._done.extend(self._isolate(self._error))
        return (
            sorted(self._done, key=operator.attrgetter("index"))
            if len(self._done) > 1
            else self._done
        )

    def _succeed_on_device(self, passage: Passage) -> list[Outcome]:
        """The same where inference has only asked the device, which is at work beside us."""
        seconds = passage.wait()
        if seconds is not None:
            self.seconds["inference"] = max(seconds, self.seconds.get("inference", 0.0))
        outcomes = self._succeed()
        passage.end()
        return outcomes

    def _succeed(self) -> list[Outcome]:
        life, size = self._runner.life, len(self.requests)
        if self._explain:
            self._stage = "explain"
            raw = [request.row for request in self.requests]
            with self._runner.model_lock:
                start = time.perf_counter()
                with self._on_its_stream(self._stage, self._data):
                    results = life.explain(self._data, raw, self._context, size=size)
                self.seconds["explain"] = time.perf_counter() - start
        else:
            self._stage = "postprocess"
            results = self._stage_of(life.postprocess, self._data)
        self._stage = "result"
        results = _checked_results(results, expected=size, handler=life.loaded.name)
        processors = self._context.request_processor
        return [
            Outcome(
                index=request.number,
                id=request.id,
                result=result,
                response=_response(processor),
                streamed=tuple(self._chunks.get(request.number, ())),
            )
            for request, processor, result in zip(self.requests, processors, results, strict=True)
        ]

    def _stage_of(self, run: Callable[..., Any], data: Any) -> Any:
        """Run the stage that has come."""
        stage, life = self._stage, self._runner.life
        if stage != "inference" and life.passes_on(stage, size=len(self.requests)):
            return data
        start = time.perf_counter()
        try:
            with self._on_its_stream(stage, data):
                return run(data, self._context, size=len(self.requests))
        finally:
            self.seconds[stage] = time.perf_counter() - start

    def _on_its_stream(self, stage: str, data: Any) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._passage is None else self._passage.on(stage, data)

    def _leave_out(self, rejected: Mapping[int, Exception]) -> None:
        """Go on without the requests that the handler has rejected one by one."""
        for at, error in rejected.items():
            request = self.requests[at]
            failure = failure_of(error, "preprocess")
            self._done.append(_failed(request.number, request.id, failure))
        self.requests = [request for at, request in enumerate(self.requests) if at not in rejected]
        self._error = None
        if self.requests:
            self._begin()

    def _isolate(self, error: BaseException) -> list[Outcome]:
        """Halve the batch until what fails fails alone."""
        if self._passage is not None:
            with contextlib.suppress(RuntimeError):  # what the device found: it is `error`
                self._passage.end()
        too_large = is_out_of_memory(error)
        if too_large:
            free_device_memory()
        # A part that has been sent cannot be taken back and sent once more.
        final = self._begun
        if self._runner.whole or len(self.requests) == 1:
            final = {request.number for request in self.requests}
        requests = [request for request in self.requests if request.number not in final]
        outcomes = [
            _failed(request.number, request.id, failure_of(error, self._stage))
            for request in self.requests
            if request.number in final
        ]
        if not requests:
            return outcomes
        self._data = None
        half = max(1, len(requests) // 2)
        for part in filter(None, (requests[:half], requests[half:])):
            batch = Batch(self._runner, part, sink=self._sink, tries=self._tries + 1)
            outcomes += batch.run()
            for stage, seconds in batch.seconds.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        # An input that does not fit even alone says nothing about the size of batches.
        if too_large and not any(map(_lacked_memory, outcomes)):
            self._runner.note_out_of_memory(len(requests))
        elif all(outcome.failure is None for outcome in outcomes):
            self._runner.note_batch_fault(error, self._stage, len(requests))
        return outcomes

    def _begin(self) -> None:
        """Tell the context, and a handler that keeps it, which requests these are."""
        context, loaded, requests = self._context, self._runner.life.loaded, self.requests
        extra = {"explain": "True"} if self._explain else {}
        # It begins again, and not with the state that the handler keeps for the try that failed.
        again = "~" * self._tries if loaded.continuous else ""
        ids = [f"{request.id}{again}" for request in requests]
        begin_batch(context, ids, [{**request.headers, **extra} for request in requests])
        context.sink = self._stream
        if loaded.staged:
            loaded.instance.context = context

    def _stream(self, at: int, chunk: Any) -> None:
        """Hand on, or keep, a part of an answer that the handler sends ahead of it."""
        index = self.requests[at].number
        if self._sink is not None:
            self._begun.add(index)
            self._sink(index, chunk)
        else:
            self._chunks.setdefault(index, []).append(chunk)


def _checked_results(results: Any, *, expected: int, handler: str) -> list[Any]:
    """Check what a handler returned for a batch.

    Args:
        results: What it returned.
        expected: How many requests there were.
        handler: The handler's name, for the sentence.

    Returns:
        The same list.

    Raises:
        HandlerError: It is not a list, or not of that length.
    """
    wanted = f"it must return a list with one result for each request, here {expected}."
    if not isinstance(results, list):
        got = "None" if results is None else f"a {type(results).__name__}"
        raise HandlerError(
            f"{handler} returned {got}; {wanted}",
            stage="result",
            handler=handler,
            public="Invalid model predict output",
        )
    if len(results) != expected:
        raise HandlerError(
            f"{handler} returned {len(results)} {plural(len(results), 'result')} for "
            f"{expected} {plural(expected, 'request')}; {wanted}",
            stage="result",
            handler=handler,
            public="number of batch response mismatched",
        )
    return results


def _response(processor: RequestProcessor) -> Response:
    status = processor.get_response_status_code() or PLAIN_RESPONSE.status
    phrase = processor.get_response_status_phrase() or ""
    headers = processor.get_response_headers()
    if status == PLAIN_RESPONSE.status and not phrase and not headers:
        return PLAIN_RESPONSE
    said = {str(name): str(value) for name, value in headers.items()}
    kinds = [value for name, value in said.items() if name.lower() == "content-type"]
    return Response(
        status=int(status),
        phrase=str(phrase),
        content_type=kinds[-1] if kinds else None,
        headers=said,
    )


def _failed(index: int, name: str, failure: Failure) -> Outcome:
    return Outcome(index=index, id=name, failure=failure)


def _lacked_memory(outcome: Outcome) -> bool:
    return outcome.failure is not None and outcome.failure.code == OUT_OF_RESOURCES
