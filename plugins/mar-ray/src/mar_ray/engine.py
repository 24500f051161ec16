"""The engine: from a stream of inputs through Ray Data to a stream of outcomes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core import PluginError, UsageError
from mar_ray.chunks import Chunker, batch_size_of
from mar_ray.cluster import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mar_core import Input, Outcome, Recipe, RunOptions, RunSummary
    from mar_ray.actor import Answer, Order
    from mar_ray.cluster import Cluster

__all__ = ["RayEngine"]

# Chunks without an answer, at least, and for each CPU of the cluster.
AHEAD = 32
AHEAD_FOR_EACH = 4


class RayEngine:
    """Runs an archive in the actors of Ray Data."""

    def run(
        self, recipe: Recipe, inputs: Iterable[Input], options: RunOptions, summary: RunSummary
    ) -> Iterator[Outcome]:
        """One outcome for each input, in order unless ``options.unordered``."""
        _check(recipe)
        chunks = Chunker(inputs, batch=options.batch_size or batch_size_of(recipe))
        recipe = _absolute(recipe)
        with (
            joined(options.engine_options.get("address"), workers=options.workers) as cluster,
            _mark(options.output_dir) as mark,
        ):
            from mar_ray.actor import Order

            order = Order(
                recipe=recipe,
                options=options,
                node=cluster.node,
                folder=str(Path.cwd()),
                mark=mark,
            )
            yield from _outcomes(order, chunks, cluster, summary)


def _outcomes(
    order: Order, chunks: Chunker, cluster: Cluster, summary: RunSummary
) -> Iterator[Outcome]:
    from mar_ray.feed import Filler, begin_feed

    feed = begin_feed(order.recipe, order.folder, node=order.node)
    filler = Filler(feed, chunks, ahead=max(AHEAD, AHEAD_FOR_EACH * cluster.cpus))
    filler.start()
    index = 0
    try:
        for number, answer in _answers(order, feed, cluster):
            if answer.refusal is not None:
                raise answer.refusal
            filler.answered(number)
            chunks.learn(len(answer.outcomes), answer.took)
            _count(summary, answer)
            for outcome in answer.outcomes:
                yield dataclasses.replace(outcome, index=index)
                index += 1
        filler.check()
    finally:
        filler.stop()


def _answers(order: Order, feed: Any, cluster: Cluster) -> Iterator[tuple[int, Answer]]:
    """The number and the answer of each chunk, as Ray Data gives them."""
    import ray
    from ray.exceptions import RayError

    from mar_ray.actor import ANSWER
    from mar_ray.source import NUMBER

    _set_up(ray.data.DataContext.get_current(), order.options)
    try:
        for row in _dataset(order, feed, cluster).iter_rows():
            yield row[NUMBER], row[ANSWER]
    except RayError as error:
        reason = str(error).strip().splitlines()[-1].rstrip(".")
        raise PluginError(
            f"Ray cannot go on: {type(error).__name__}: {reason}.",
            hint="Every machine needs the same mar, mar-ray and plugins. Go on with --resume.",
        ) from error


def _dataset(order: Order, feed: Any, cluster: Cluster) -> Any:
    import ray

    from mar_ray.actor import Answerer
    from mar_ray.source import ChunkSource

    # The task that reads waits nearly all of the time; it must not keep a CPU from an actor.
    numbers = ray.data.read_datasource(ChunkSource(feed), override_num_blocks=1, num_cpus=0)
    return numbers.map_batches(
        Answerer,
        fn_constructor_args=(order, feed),
        batch_size=1,
        compute=_pool(order.options),
        num_cpus=1,
        num_gpus=_gpus(order.recipe.device, cluster),
    )


def _pool(options: RunOptions) -> Any:
    """As many actors as there is work and room for, or as many as the user says."""
    from ray.data import ActorPoolStrategy

    if options.workers:
        return ActorPoolStrategy(size=options.workers)
    return ActorPoolStrategy(min_size=1)


def _gpus(device: str | None, cluster: Cluster) -> int:
    """GPUs for each actor."""
    return int(device == "cuda" or (device is None and cluster.gpus > 0))


def _set_up(context: Any, options: RunOptions) -> None:
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Each row goes on by itself, however small: it is a chunk of inputs, or its answer.
    context.target_max_block_size = 1
    context.execution_options.preserve_order = not options.unordered


def _count(summary: RunSummary, answer: Answer) -> None:
    summary.batches += answer.batches
    for stage, seconds in answer.seconds.items():
        summary.stage_seconds[stage] = summary.stage_seconds.get(stage, 0.0) + seconds


def _check(recipe: Recipe) -> None:
    """Refuse what cannot be done on a cluster.

    Raises:
        UsageError: A flag makes no sense here.
    """
    if recipe.device is not None and recipe.device.startswith("cuda:"):
        raise UsageError(
            f"With --engine ray, Ray chooses the GPU, and --device says {recipe.device}.",
            hint="Use --device cuda.",
        )


def _absolute(recipe: Recipe) -> Recipe:
    """The recipe for other processes, which may work in another folder."""
    if not isinstance(recipe.source, Path):
        return recipe
    return dataclasses.replace(recipe, source=recipe.source.absolute())


@contextlib.contextmanager
def _mark(folder: Path | None) -> Iterator[Path | None]:
    """A file in the output folder, while the run goes on."""
    if folder is None:
        yield None
        return
    mark = Path(os.path.abspath(folder), f".mar-ray-{uuid.uuid4().hex}")  # noqa: PTH100
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)
