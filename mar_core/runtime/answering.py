"""Inside a worker: from the requests of a call to their replies, in turn or overlapping."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from mar_core.handlers.own_process import OwnProcess
from mar_core.plugins import get_plugins
from mar_core.records import PLAIN_RESPONSE, Failure, Outcome
from mar_core.runtime.batch import Batch
from mar_core.runtime.compiling import keep_compiled
from mar_core.runtime.failures import failure_of
from mar_core.runtime.feed import Row
from mar_core.runtime.outbox import flush_printed
from mar_core.runtime.pipeline import Stages
from mar_core.runtime.predictor import Predictor
from mar_core.runtime.protocol import ANSWER, METRIC, PART, READY, Ready, Reply
from mar_core.runtime.requests import row_of
from mar_core.runtime.values import BlobFolder, encode, plain, to_json
from mar_core.ts.device import dealt_device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from mar_core.records import Response
    from mar_core.runtime.outbox import Outbox, Page
    from mar_core.runtime.protocol import Setup

__all__ = ["Answering"]

_FORGOTTEN = Failure(
    stage="read", type="Forgotten", message="Nobody waits for it any more.", code=503
)
# In a process of its own, whatever a handler raises is its request's failure.
CAUGHT = (BaseException,)


class Answering:
    """An archive loaded in this process, which is its own.

    Args:
        setup: How to load it, and how to answer.
        outbox: Where replies go.
        page: Where calls are counted.

    Raises:
        MarError: It cannot be loaded.
    """

    def __init__(self, setup: Setup, outbox: Outbox, page: Page) -> None:
        prepared = setup.prepared
        recipe = prepared.recipe
        if setup.device is not None:
            recipe = dataclasses.replace(recipe, device=setup.device)
        elif setup.gpu is not None and recipe.device is None:
            recipe = dataclasses.replace(recipe, device=dealt_device(setup.gpu, prepared.config))
        self._compiled = keep_compiled(prepared, recipe.device)
        self._calls = 0
        code = OwnProcess(prepared.files.folder)
        code.enter()
        self._predictor = Predictor(recipe, prepared=prepared, code=code, steps=setup.steps)
        self._setup, self._outbox, self._page = setup, outbox, page
        loaded = self._predictor.loaded
        independent = setup.overlap and loaded.independent
        self._runner = self._predictor.runner(
            explain=setup.explain, independent=independent, caught=CAUGHT
        )
        self._runner.whole = setup.steps
        self._stages = _Stages(explain=setup.explain) if independent else None
        self._reply = self._as_body if setup.body else self._as_plain
        self._blobs = None
        if setup.output_dir is not None:
            self._blobs = BlobFolder(setup.output_dir, shown=setup.output_shown).save_for
        if setup.metrics:
            self._predictor.context.metrics.listener = self._record
        flush_printed()
        outbox.add([READY, *self._ready()])

    def answer(
        self, call: int, requests: Sequence[tuple[Any, ...]], place: int | None = None
    ) -> None:
        """Answer the requests of a call, now or as its turn comes.

        Args:
            call: Its number.
            requests: The requests.
            place: The place of the first, where they may be forgotten.

        Raises:
            ArchiveError: The model is mapped from an archive that somebody has written to.
        """
        if (files := self._setup.prepared.files).is_viewed:
            files.check_views()
        if self._stages is None:
            batch = self._prepare(call, requests, place)
            batch.inference()
            self._finish(call, batch)
        else:
            self._stages.begin(
                lambda: self._prepare(call, requests, place),
                lambda batch: self._finish(call, batch),
            )

    def describe(self, call: int) -> None:
        """Send what the handler says of itself; nothing where it has nothing to say."""
        self._drain()
        self._page.begin()
        describe = getattr(self._predictor.loaded.instance, "describe_handle", None)
        try:
            value = to_json(describe() if callable(describe) else self._asked_to_describe())
            reply: Sequence[Any] = Reply(value=value)
        except CAUGHT as error:
            reply = _failed(failure_of(error, "handle"))
        self._outbox.add([ANSWER, call, {}, None, [reply]])

    def _asked_to_describe(self) -> Any:
        """What a handler without that method answers to TorchServe's question; None if it cannot.

        The question is a request with nothing in it, and a header.
        """
        if self._setup.steps:
            return None
        batch = Batch(self._runner, [Row(0, "", {}, {"describe": "True"})])
        batch.preprocess()
        batch.inference()
        return next(outcome.result for outcome in batch.outcomes())

    def close(self) -> None:
        """Answer what is under way, and let the handler clean up."""
        self._drain()
        self._outbox.flush()
        self._predictor.close()
        if self._compiled is not None:
            self._compiled.close()
        get_plugins().tell_failures()

    def _drain(self) -> None:
        if self._stages is not None:
            self._stages.drain()

    def _prepare(self, call: int, requests: Sequence[tuple[Any, ...]], place: int | None) -> Batch:
        self._page.begin()
        gone = () if place is None else self._page.gone(place, len(requests))
        batch = self._read(call, requests, gone)
        batch.preprocess()
        return batch

    def _read(self, call: int, requests: Sequence[tuple[Any, ...]], gone: Sequence[int]) -> Batch:
        rows: list[Row] = []
        failed = [Outcome(index=at, id=requests[at][0], failure=_FORGOTTEN) for at in gone]
        for index, request in enumerate(requests):
            if index in gone:
                continue
            try:
                row, headers = row_of(request)
            except Exception as error:  # noqa: BLE001 - it is this request's failure
                failure = failure_of(error, "read")
                failed.append(Outcome(index=index, id=request[0], failure=failure))
            else:
                rows.append(Row(index, request[0], row, headers))
        if not self._setup.body:
            return Batch(self._runner, rows, done=failed)
        return Batch(
            self._runner,
            rows,
            done=failed,
            sink=lambda index, part: self._send_part(call, index, part),
        )

    def _finish(self, call: int, batch: Batch) -> None:
        replies = [self._reply(outcome) for outcome in batch.outcomes()]
        too_large, self._runner.out_of_memory_at = self._runner.out_of_memory_at, None
        self._outbox.add([ANSWER, call, batch.seconds, too_large, replies])
        if self._stages is not None and self._stages.idle:
            self._outbox.flush()
        if self._compiled is not None:
            self._calls += 1
            # Each shape is compiled as it comes; they get rarer. Who is killed has noted the most.
            if self._calls.bit_count() == 1:
                self._compiled.note()

    def _send_part(self, call: int, index: int, part: Any) -> None:
        """A part of an answer leaves as it is made."""
        self._outbox.add([PART, call, index, encode(part)[0]])
        self._outbox.flush()

    def _as_body(self, outcome: Outcome) -> Sequence[Any]:
        failure, response = outcome.failure, outcome.response
        if failure is not None:
            return _failed(failure)
        try:
            body, is_json = encode(outcome.result)
        except CAUGHT as error:
            public = "Unsupported model output data type."
            return _failed(dataclasses.replace(failure_of(error, "result"), public=public))
        # What follows in a reply is as it is by default: it need not travel.
        headers = dict(response.headers)
        return response.status, response.phrase, headers, response.content_type, body, is_json

    def _as_plain(self, outcome: Outcome) -> Sequence[Any]:
        try:
            outcome = plain(outcome, save=self._blobs)
        except CAUGHT as error:
            return _failed(failure_of(error, "result"))
        if outcome.failure is not None:
            return _failed(outcome.failure)
        if outcome.response is PLAIN_RESPONSE and not outcome.streamed:
            return (outcome.result,)
        return _said(outcome.response)._replace(parts=outcome.streamed, value=outcome.result)

    def _record(self, metric: Any) -> None:
        self._predictor.life.record_metric(metric)
        dimensions = {str(name): str(value) for name, value in metric.dimensions.items()}
        self._outbox.add(
            [
                METRIC, str(metric.name), float(metric.value), str(metric.unit), dimensions,
                metric.type.name, metric.request_id, float(metric.timestamp),
            ]
        )  # fmt: skip

    def _ready(self) -> Ready:
        predictor, loaded = self._predictor, self._predictor.loaded
        gpu = predictor.context.system_properties.get("gpu_id")
        return Ready(
            model_name=predictor.name,
            version=predictor.manifest.model_version,
            handler=loaded.name,
            batch_size=predictor.batch_size,
            by_length=loaded.by_length,
            independent=self._stages is not None,
            depth=2 if self._stages is None else self._stages.depth,
            explains=callable(getattr(loaded.instance, "get_insights", None)),
            device="cpu" if gpu is None else f"accelerator {gpu}",
            runtime=str(predictor.manifest.data.get("runtime") or "python"),
            config=to_json(predictor.prepared.config),
            seconds=predictor.life.take_seconds(),
        )


class _Stages(Stages):
    """The stages of calls; knows which are under way."""

    def __init__(self, *, explain: bool) -> None:
        import torch

        super().__init__(explain=explain, torch_threads=torch.get_num_threads())
        self._last: Future[None] | None = None
        self._begun = self._ended = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is under way but what asks."""
        return self._begun - self._ended <= 1

    def begin(self, prepare: Callable[[], Batch], finish: Callable[[Batch], None]) -> None:
        """Let a call take its way."""
        self._begun += 1
        self._last = self.submit(prepare, functools.partial(self._end, finish))

    def drain(self) -> None:
        """Wait until all calls have ended."""
        if self._last is not None:
            self._last.result()

    def _end(self, finish: Callable[[Batch], None], inferred: Future[Batch]) -> None:
        try:
            finish(inferred.result())
        finally:
            self._ended += 1


def _failed(failure: Failure) -> Reply:
    return Reply(status=failure.code, failure=failure)


def _said(response: Response) -> Reply:
    """A reply with what the handler said of it."""
    return Reply(
        status=response.status,
        phrase=response.phrase,
        headers=dict(response.headers),
        content_type=response.content_type,
    )
