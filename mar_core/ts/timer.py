"""How long a stage of a handler took, and (``ts.utils.timeit_decorator``) any function.

``torch.profiler`` says what it took the time for.
"""

from __future__ import annotations

import functools
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["profiler_arguments", "timed", "timeit"]

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def timed(func: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method record how long it took, as the metric ``ts_handler_NAME`` in milliseconds.

    Nothing is measured unless the archive's config has ``handler: {profile: true}``. On a CUDA
    device the time includes the work that the method queued.
    """

    @functools.wraps(func)
    def wrap_func(self: Any, *args: Any, **kwargs: Any) -> Any:
        context: Any = getattr(self, "context", None)
        if not _wanted(context):
            return func(self, *args, **kwargs)
        start = _now()
        result = func(self, *args, **kwargs)
        context.metrics.add_time(f"ts_handler_{func.__name__}", (_now() - start) * 1000)
        return result

    return wrap_func


def _wanted(context: Any) -> bool:
    config = getattr(context, "model_yaml_config", None) or {}
    section = config.get("handler")
    return bool(isinstance(section, dict) and section.get("profile"))


def _now() -> float:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def timeit(func: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function print how long it took, and how much of that the processor worked for it."""

    @functools.wraps(func)
    def timed_function(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        start, start_cpu = time.perf_counter(), time.process_time()
        result = func(*args, **kwargs)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        print(f"{func.__name__} took {seconds:.4f} s, {cpu:.4f} s of CPU time")
        return result

    return timed_function


def profiler_arguments(wanted: dict[str, Any], model_name: str) -> dict[str, Any]:
    """The arguments of ``torch.profiler.profile``: a handler's own, completed.

    Args:
        wanted: The handler's ``profiler_args``; where it is empty, CPU and CUDA activities with
            shapes are recorded.
        model_name: Names the folder of the traces, where ``on_trace_ready`` is not given:
            ``pytorch_profiler/NAME`` beside temporary files.
    """
    import torch
    from torch.profiler import ProfilerActivity, tensorboard_trace_handler

    arguments = dict(wanted)
    if not arguments:
        cuda = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
        arguments = {"activities": [ProfilerActivity.CPU, *cuda], "record_shapes": True}
    if "on_trace_ready" not in arguments:
        folder = Path(tempfile.gettempdir(), "pytorch_profiler", model_name)
        logger.info("The profiler's traces go to %s.", folder)
        arguments["on_trace_ready"] = tensorboard_trace_handler(str(folder))
    return arguments
