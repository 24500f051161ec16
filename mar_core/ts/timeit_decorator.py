"""``ts.utils.timeit_decorator``: says how long a function took."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["timeit"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


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
