"""Hooks of a handler at work: each stage of its life, and those that look on while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from mar_core.records import RunSummary
    from mar_core.ts.context import Context
    from mar_core.ts.metrics import Metric
    from mar_core.weights.weights_format import ModelSource

__all__ = [
    "mar_explain",
    "mar_inference",
    "mar_initialize",
    "mar_load_model",
    "mar_metric_recorded",
    "mar_postprocess",
    "mar_preprocess",
    "mar_run_finished",
    "mar_run_started",
    "mar_stage_finished",
    "mar_teardown",
]


@hookspec(firstresult=True)
def mar_load_model(handler: Any, context: Context, source: ModelSource) -> object | None:
    """Load the model that the archive holds.

    Called by ``BaseHandler.initialize``. First result; mar's own, which asks the handler's
    ``model_from_source`` and then the format of the weights, comes last. To load a format that mar
    does not know, register the format (``mar_register_weights_formats``); this is for taking over
    what mar would load otherwise.

    Args:
        handler: The handler; ``handler.device`` and ``handler.map_location`` say where to load.
        context: The manifest, and the unpacked archive as ``system_properties["model_dir"]``.
        source: What there is to load: the weights file, its format, the network of the model file,
            the device, and whether the user trusts the archive.

    Returns:
        Something callable, as a rule a ``torch.nn.Module`` on the device in evaluation mode, or
        None to let another load it.

    Example:
        >>> @hookimpl
        ... def mar_load_model(source):
        ...     return quantized(source) if source.kind == "safetensors" else None
    """


@hookspec(firstresult=True)
def mar_initialize(handler: Any, context: Context) -> object | None:
    """Get the handler ready.

    Called once for each loaded archive. First result; the handler's own ``initialize`` is the last
    implementation. Wrap it to act before and after; return something to take it over.

    Args:
        handler: The handler's instance, or its function.
        context: The context that it is given.

    Returns:
        Anything but None ends the calls; the value is not used.

    Example:
        >>> @hookimpl(wrapper=True)
        ... def mar_initialize(handler, context):
        ...     torch.manual_seed(0)
        ...     return (yield)
    """


@hookspec(firstresult=True)
def mar_preprocess(handler: Any, data: Any, context: Context) -> object | None:
    """Turn a batch of requests into the model's input.

    Called for each batch. First result; the handler's own ``preprocess`` is the last. A handler
    that brings its own ``handle``, or is a function, has one stage only: this hands the data on.

    Args:
        handler: The handler's instance, or its function.
        data: One dict for each request, ``{"data": …}`` or ``{"body": …}`` or the form's fields.
        context: The context of this batch.

    Returns:
        The model's input. ``NO_RESULT`` stands for None.

    Example:
        >>> @hookimpl
        ... def mar_preprocess(handler, data, context):
        ...     return cache.get(digest(data))
    """


@hookspec(firstresult=True)
def mar_inference(handler: Any, data: Any, context: Context) -> object | None:
    """Run the model.

    Called for each batch. First result; the handler's own ``inference`` is the last, or the whole
    of its ``handle`` where it brings its own.

    Args:
        handler: The handler's instance, or its function.
        data: What ``mar_preprocess`` returned.
        context: The context of this batch.

    Returns:
        The model's output. ``NO_RESULT`` stands for None.

    Example:
        >>> @hookimpl(wrapper=True)
        ... def mar_inference(handler, data, context):
        ...     with torch.autocast("cuda", dtype=torch.bfloat16):
        ...         return (yield)
    """


@hookspec(firstresult=True)
def mar_postprocess(handler: Any, data: Any, context: Context) -> object | None:
    """Turn the model's output into one result for each request.

    Called for each batch. First result; the handler's own ``postprocess`` is the last.

    Args:
        handler: The handler's instance, or its function.
        data: What ``mar_inference`` returned.
        context: The context of this batch.

    Returns:
        A list with one result for each request. ``NO_RESULT`` stands for None.

    Example:
        >>> @hookimpl(wrapper=True)
        ... def mar_postprocess(handler, data, context):
        ...     return [{"result": result} for result in (yield)]
    """


@hookspec(firstresult=True)
def mar_explain(handler: Any, data: Any, raw: Any, context: Context) -> object | None:
    """Explain the model's answers.

    Called in place of inference and postprocess for batches that ask for explanations
    (``mar run --explain``). First result; the handler's own ``explain_handle`` is the last.

    Args:
        handler: The handler's instance, or its function.
        data: What ``mar_preprocess`` returned.
        raw: The requests as they came.
        context: The context of this batch.

    Returns:
        A list with one explanation for each request. ``NO_RESULT`` stands for None.

    Example:
        >>> @hookimpl
        ... def mar_explain(handler, data, raw, context):
        ...     return [saliency(handler.model, row) for row in data]
    """


@hookspec(firstresult=True)
def mar_teardown(handler: Any, context: Context) -> object | None:
    """Let go of what ``mar_initialize`` took.

    Called once when a loaded archive is closed, also after an error. First result; the handler's
    own ``teardown``, where it has one, is the last.

    Args:
        handler: The handler's instance, or its function.
        context: The context that it was given.

    Returns:
        Anything but None ends the calls; the value is not used.

    Example:
        >>> @hookimpl(wrapper=True)
        ... def mar_teardown(handler, context):
        ...     result = yield
        ...     torch.cuda.empty_cache()
        ...     return result
    """


@hookspec
def mar_run_started(summary: RunSummary) -> None:
    """Know that a run begins.

    Called once by ``mar run``, in the process that the user started, before the first input is read
    and before worker processes are made: what is set in ``os.environ`` here, they inherit.
    Observing.

    Args:
        summary: What the run will come to; its numbers grow while it goes on.

    Example:
        >>> @hookimpl
        ... def mar_run_started(summary):
        ...     print(f"running {summary.model}")
    """


@hookspec
def mar_stage_finished(
    model: str, stage: str, seconds: float, size: int, error: BaseException | None
) -> None:
    """Know that a stage has ended.

    Called after each stage of each batch, in the process that ran it. Observing.

    Args:
        model: The model's name.
        stage: ``initialize``, ``preprocess``, ``inference``, ``postprocess``, ``explain`` or
            ``teardown``.
        seconds: How long it took, wall-clock.
        size: How many requests the batch held; 0 for ``initialize`` and ``teardown``.
        error: What it raised, or None.

    Example:
        >>> @hookimpl
        ... def mar_stage_finished(stage, seconds, size):
        ...     print(f"{stage}: {size} in {seconds:.3f} s")
    """


@hookspec
def mar_metric_recorded(model: str, metric: Metric) -> None:
    """Know that a handler recorded a metric with ``context.metrics``.

    Called for each value, in the process of the handler. Observing.

    Args:
        model: The model's name.
        metric: Its name, value, unit, dimensions, type and request id.

    Example:
        >>> @hookimpl
        ... def mar_metric_recorded(model, metric):
        ...     print(model, metric.name, metric.value, metric.unit)
    """


@hookspec
def mar_run_finished(summary: RunSummary) -> None:
    """Know that a run has ended, well or not.

    Called once by ``mar run``, in the process that the user started. Observing.

    Args:
        summary: Inputs, errors by kind, and seconds by stage.

    Example:
        >>> @hookimpl
        ... def mar_run_finished(summary):
        ...     print(f"{summary.succeeded} of {summary.total}")
    """
