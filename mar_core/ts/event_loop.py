"""Handlers with ``async def``: their coroutines run to completion on an event loop of their own."""

from __future__ import annotations

import functools
import inspect
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

__all__ = ["LoopThread"]


class LoopThread:
    """An event loop in a thread of its own, started when it is first needed.

    One handler has one loop for its whole life, because what it makes in ``initialize`` is bound to
    the loop; and a thread, because the caller, a notebook for example, may have a loop running.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def completing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with what it awaits awaited."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            return self.complete(result) if inspect.iscoroutine(result) else result

        return wrapper

    def complete(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end and return its result."""
        import asyncio  # slow to import, and few handlers are asynchronous

        return asyncio.run_coroutine_threadsafe(coroutine, self._started()).result()

    def close(self) -> None:
        """Stop the loop, where it was started."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None

    def _started(self) -> asyncio.AbstractEventLoop:
        import asyncio

        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                name = "mar-handler-loop"
                threading.Thread(target=_run, args=(self._loop,), name=name, daemon=True).start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
