"""What runs in each of Ray Data's actors."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ray

from mar_core import Failure, HandlerError, LocalWorkers, MarError, Outcome, OutputError
from mar_ray.shipping import at_this_node
from mar_ray.source import NUMBER

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core import Input, Recipe, RunOptions

__all__ = ["ANSWER", "Answer", "Answerer", "Order"]

ANSWER = "answer"
# One input that was being run so often when its process was lost is why.
MOST_DEATHS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What every actor is told.

    Attributes:
        recipe: How to load the archive.
        options: How to run it.
        node: The node where the run was started.
        folder: The folder that it was started in.
        mark: A file in the output folder, by which one knows that the folder is shared.
    """

    recipe: Recipe
    options: RunOptions
    node: str
    folder: str
    mark: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a chunk.

    Attributes:
        outcomes: One for each input, in order.
        took: Seconds from its begin to its end.
        seconds: Wall-clock seconds by stage.
        batches: How many batches ran.
        refusal: Why nothing can be run, or None.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    took: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    batches: int = 0
    refusal: MarError | None = None


class Answerer:
    """Answers chunks, in a process of Ray's that runs nothing of the archive's itself.

    The archive is loaded once, in a worker process beside this one, exactly as
    ``mar run --workers`` has it: what a handler does to its process costs its own input, and Ray
    need not know. When Ray loses this process, or the whole machine, it gives the chunk to another.

    Args:
        order: What to do.
        feed: Knows the chunks.
    """

    def __init__(self, order: Order, feed: Any) -> None:
        self._feed = feed
        self._workers: LocalWorkers | None = None
        self._refusal: MarError | None = None
        # What is raised here reaches nobody whole: it is kept, and told with the first answer.
        try:
            self._workers = _load(order, feed)
        except MarError as error:
            self._refusal = error

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Answer the one chunk of a batch."""
        number = int(batch[NUMBER][0])
        return {NUMBER: [number], ANSWER: [self._answer(number)]}

    def __del__(self) -> None:
        """Ray's way to say that it is over."""
        if self._workers is not None:
            self._workers.close()

    def _answer(self, number: int) -> Answer:
        start = time.monotonic()
        held = ray.get(self._feed.take.remote(number))
        if not held:  # somebody else has answered it
            return Answer()
        try:
            outcomes = self._outcomes(number, ray.get(held[0]))
        except MarError as error:
            self._refusal = error
            return Answer(refusal=error)
        summary = self._loaded().summary
        answer = Answer(
            outcomes=outcomes,
            took=time.monotonic() - start,
            seconds=dict(summary.stage_seconds),
            batches=summary.batches,
        )
        summary.stage_seconds.clear()
        summary.batches = 0
        return answer

    def _outcomes(self, number: int, inputs: list[Input]) -> list[Outcome]:
        if not ray.get(self._feed.begin.remote(number)):
            return self._loaded().run(inputs)
        return [self._carefully(number, place, source) for place, source in enumerate(inputs)]

    def _carefully(self, number: int, place: int, source: Input) -> Outcome:
        """Run one input of a chunk whose process was lost, unless this is the one to blame."""
        if ray.get(self._feed.begin.remote(number, place)) < MOST_DEATHS:
            (outcome,) = self._loaded().run([source])
            ray.get(self._feed.survive.remote(number, place))
            return outcome
        failure = Failure(
            stage="worker",
            type="WorkerDied",
            message="Ray lost the process or the machine each time that this input ran.",
            code=500,
        )
        return Outcome(index=place, id=source.id, failure=failure)

    def _loaded(self) -> LocalWorkers:
        if self._refusal is not None:
            raise self._refusal
        if self._workers is None:
            raise HandlerError("The archive is not loaded.", stage="load")
        return self._workers


def _load(order: Order, feed: Any) -> LocalWorkers:
    recipe = order.recipe
    with contextlib.suppress(OSError):  # a machine without that folder needs no relative path
        os.chdir(order.folder)
    if ray.get_runtime_context().get_node_id() != order.node:
        recipe = at_this_node(recipe, feed)
        _check_shared(order.mark)
    return LocalWorkers(recipe, dataclasses.replace(order.options, workers=1))


def _check_shared(mark: Path | None) -> None:
    if mark is not None and not mark.exists():
        raise OutputError(
            f"The folder {mark.parent} is not shared with {os.uname().nodename}.",
            hint="Put --output-dir on a file system that every machine of the cluster has.",
        )
