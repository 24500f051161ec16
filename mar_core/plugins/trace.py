"""A line for each hook call: what was called, who answered, how long it took."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pluggy

__all__ = ["trace"]

logger = logging.getLogger(__name__)


def trace(manager: pluggy.PluginManager) -> None:
    """Log every hook call of a manager.

    Pluggy's own tracing prints each argument, which copies tensors from the device.
    """
    started = threading.local()

    def before(hook: str, implementations: Any, arguments: Any) -> None:  # noqa: ARG001 - pluggy's
        stack = started.__dict__.setdefault("stack", [])
        stack.append(time.perf_counter())

    def after(outcome: Any, hook: str, implementations: Any, arguments: Any) -> None:  # noqa: ARG001
        milliseconds = (time.perf_counter() - started.stack.pop()) * 1000
        names = [implementation.plugin_name for implementation in reversed(implementations)]
        if names:
            error = f", {type(outcome.exception).__name__}" if outcome.exception else ""
            logger.info("%s %s %.2f ms%s", hook, names, milliseconds, error)

    manager.add_hookcall_monitoring(before, after)
