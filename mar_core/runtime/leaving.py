"""What Python runs when a process ends, without its wait for threads that never do."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run_exit_functions"]

SECONDS = 2.0


def run_exit_functions() -> None:
    """Run them, before ``os._exit``.

    Those of ``threading`` come first: executors, of ``concurrent.futures`` and of joblib, have
    their idle processes end by them, for which ``multiprocessing`` would wait for ever. They also
    join the executors' threads, so that each gets a thread of its own and little time.
    """
    calls = getattr(threading, "_threading_atexits", ())
    threads = [threading.Thread(target=_quietly, args=(call,), daemon=True) for call in calls]
    for thread in reversed(threads):
        thread.start()
    deadline = time.monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    _quietly(atexit._run_exitfuncs)  # noqa: SLF001 - the interpreter's own


def _quietly(call: Callable[[], object]) -> None:
    with contextlib.suppress(BaseException):
        call()
