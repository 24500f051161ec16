"""Continuous batching: a handler answers a request step by step until it says that it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.ts.otf_message_handler import send_intermediate_predict_response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mar_core.ts.context import Context

__all__ = ["STREAM_NEXT", "continuing", "one_step"]

# TorchServe's header: whether more of an answer will come.
STREAM_NEXT = "ts_stream_next"


def continuing(entry: Callable[[Any, Context], Any]) -> Callable[[Any, Context], Any]:
    """A handler's entry that is called again for requests that are not done.

    After each call ``context.stopping_criteria[index](result)`` says of each request whether it is
    done; without criteria all are. The result of one that is not done is sent ahead, and it is in
    the next call again, with its id.

    Args:
        entry: Answers a batch, one step.

    Returns:
        Answers a batch; its results are those of each request's last step.
    """

    def answer(data: Sequence[Any], context: Context) -> Any:
        ids, requests = context.request_ids or {}, context.request_processor
        results: list[Any] = [None] * len(data)
        live = list(range(len(data)))
        sink = context.sink
        try:
            while live:
                _point(context, [(ids.get(at, str(at)), requests[at]) for at in live])
                context.sink = _redirected(sink, live)
                step = entry([data[at] for at in live], context)
                if not isinstance(step, list) or len(step) != len(live):
                    return step  # whoever asked says what is wrong with it
                for at, result in zip(live, step, strict=True):
                    results[at] = result
                live = [live[index] for index in _unfinished(step, context)]
        finally:
            context.request_ids, context.request_processor = ids, requests
            context.sink = sink
        return results

    return answer


def one_step(entry: Callable[[Any, Context], Any]) -> Callable[[Any, Context], Any]:
    """A handler's entry of which each call is one step: who asked asks again, and adds others.

    What ``context.stopping_criteria`` says of each result is told in the header ``ts_stream_next``:
    ``true`` of a request that is not done. Without criteria, or where one says None, nothing is.

    Args:
        entry: Answers a batch, one step.
    """

    def answer(data: Sequence[Any], context: Context) -> Any:
        step = entry(data, context)
        criteria = context.stopping_criteria
        if criteria and isinstance(step, list) and len(step) == len(data):
            for index, result in enumerate(step):
                done = criteria[index](result)
                if done is not None:
                    context.set_response_header(index, STREAM_NEXT, "false" if done else "true")
        return step

    return answer


def _point(context: Context, requests: list[tuple[str, Any]]) -> None:
    """Make these the requests of the batch."""
    context.request_ids = {index: name for index, (name, _) in enumerate(requests)}
    context.request_processor = [processor for _, processor in requests]
    if context.metrics is not None:
        context.metrics.request_ids = context.request_ids


def _redirected(
    sink: Callable[[int, Any], None] | None, live: list[int]
) -> Callable[[int, Any], None] | None:
    """A sink that knows the requests by their place in the whole batch."""
    return None if sink is None else lambda index, part: sink(live[index], part)


def _unfinished(step: list[Any], context: Context) -> list[int]:
    """The requests that are not done; their results are sent ahead."""
    criteria = context.stopping_criteria
    if not criteria:
        return []
    going_on = [index for index, result in enumerate(step) if criteria[index](result) is False]
    send_intermediate_predict_response(step, going_on, context=context)
    return going_on
