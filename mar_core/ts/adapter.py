"""Makes a handler a plugin while it runs: the last implementation of each life-cycle hook.

Authors write an ordinary class with TorchServe's method names and decorate nothing; the adapter
calls those methods where the hooks ask for them. What an ``async def`` gives runs to its end first.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from mar_core.hookspecs import hookimpl
from mar_core.ts.base_handler import BaseHandler
from mar_core.ts.context import working_on

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from mar_core.ts.context import Context

__all__ = [
    "NO_RESULT", "STAGES", "HandlerAdapter", "LoopThread", "NoResult", "is_staged",
    "reads_by_context", "stages_independent", "unwrap",
]  # fmt: skip

STAGES = ("preprocess", "inference", "postprocess")


@final
class NoResult:
    """The type of ``NO_RESULT``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_RESULT"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "NO_RESULT"


NO_RESULT: Final = NoResult()
"""What stands for None where a hook takes None for "not mine"."""


class Adaptable(Protocol):
    """What the adapter needs of a loaded handler."""

    @property
    def entry(self) -> Callable[[Any, Context], Any]:
        """Takes a batch and the context, and answers it."""

    @property
    def initialize(self) -> Callable[[Context], Any] | None:
        """Gets the handler ready."""

    @property
    def staged(self) -> bool:
        """Whether its ``handle`` is ``BaseHandler``'s own."""


class HandlerAdapter:
    """The plugin made of one loaded handler.

    A handler whose ``handle`` is ``BaseHandler``'s is driven stage by stage. One that brings its
    own ``handle``, or is a function, has a single stage, which is called ``inference``: what comes
    before and after hands the data on.

    Args:
        loaded: The handler.
    """

    def __init__(self, loaded: Adaptable) -> None:
        self._loaded = loaded

    @hookimpl(trylast=True)
    def mar_initialize(self, handler: Any, context: Context) -> object:  # noqa: ARG002 - the hook's
        """Call the handler's ``initialize``, where it has one."""
        if self._loaded.initialize is not None:
            self._loaded.initialize(context)
        return NO_RESULT

    @hookimpl(trylast=True)
    def mar_preprocess(self, handler: Any, data: Any, context: Context) -> object:
        """Call the handler's ``preprocess``."""
        if not self._staged(context):
            return _wrap(data)
        with working_on(handler, context):
            return _wrap(handler.preprocess(data))

    @hookimpl(trylast=True)
    def mar_inference(self, handler: Any, data: Any, context: Context) -> object:
        """Call the handler's ``inference``, or the whole of its own ``handle``."""
        if self._staged(context):
            with working_on(handler, context):
                return _wrap(handler.inference(data))
        return _wrap(self._loaded.entry(data, context))

    @hookimpl(trylast=True)
    def mar_postprocess(self, handler: Any, data: Any, context: Context) -> object:
        """Call the handler's ``postprocess``."""
        if not self._staged(context):
            return _wrap(data)
        with working_on(handler, context):
            return _wrap(handler.postprocess(data))

    @hookimpl(trylast=True)
    def mar_explain(self, handler: Any, data: Any, raw: Any, context: Context) -> object:
        """Call the handler's ``explain_handle``, or its own ``handle``, which sees the header."""
        if self._staged(context):
            handler.explain = True  # as TorchServe's handle leaves it, for handlers that look
            with working_on(handler, context):
                return _wrap(handler.explain_handle(data, raw))
        return _wrap(self._loaded.entry(data, context))

    @hookimpl(trylast=True)
    def mar_teardown(self, handler: Any, context: Context) -> object:  # noqa: ARG002 - the hook's
        """Call the handler's ``teardown``, where it has one."""
        teardown = getattr(handler, "teardown", None)
        if callable(teardown):
            teardown()
        return NO_RESULT

    def _staged(self, context: Context) -> bool:
        """Whether this batch goes stage by stage.

        ``BaseHandler.handle`` answers two kinds of request in its own way: one that asks for a
        description, and any while TorchServe's profiler switch is on.
        """
        if not self._loaded.staged or os.environ.get("ENABLE_TORCH_PROFILER"):
            return False
        return not context.get_request_header(0, "describe")


def _wrap(result: object) -> object:
    """A first-result hook takes None for "not mine"; a handler may mean it."""
    return NO_RESULT if result is None else result


def unwrap(result: object) -> Any:
    """What a stage returned: None where it said ``NO_RESULT``."""
    return None if result is NO_RESULT else result


def is_staged(handler: Any) -> bool:
    """Whether a handler's ``handle`` is ``BaseHandler``'s own, stage after stage."""
    if not isinstance(handler, BaseHandler):
        return False
    own = "handle" in vars(handler) or type(handler).handle is not BaseHandler.handle
    return not own and not any(
        inspect.iscoroutinefunction(getattr(handler, stage)) for stage in STAGES
    )


def stages_independent(cls: type) -> bool:
    """Whether a class says that its stages share nothing but what ``initialize`` has set.

    Args:
        cls: The handler's class.
    """
    return _says(cls, "stages_independent", STAGES)


def reads_by_context(cls: type) -> bool:
    """Whether a class says that it finds the archive's files through its context alone.

    Args:
        cls: The handler's class.
    """
    return _says(cls, "reads_by_context", ("initialize", "handle", *STAGES))


def _says(cls: type, what: str, methods: tuple[str, ...]) -> bool:
    """Whether a class says something of some of its methods.

    ``stages_independent = True`` speaks for the stages that the class has when it says so: one that
    a subclass overrides is not spoken for until the subclass says it again.
    """
    for base in cls.__mro__:
        if what in vars(base):
            return bool(vars(base)[what])
        if any(method in vars(base) for method in methods):
            return False
    return False


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
