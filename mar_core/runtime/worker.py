"""A worker process: loads one archive, and answers calls until its parent is gone.

Started by ``mar_core.runtime.process``. Answers travel over a private socket alone: what a handler
prints lands on standard error.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import signal
import socket
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.runtime.leaving import run_exit_functions
from mar_core.runtime.outbox import Outbox, Page, flush_printed
from mar_core.runtime.protocol import (
    CALL,
    DESCRIBE,
    END,
    IMPORT,
    LOAD,
    frames,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.runtime.answering import Answering
from mar_core.runtime.protocol import Setup
from mar_core.text import show_messages

__all__ = ["main"]

# How long what a handler leaves behind may take to end: executors, processes, exit functions.
LEFT_BEHIND_SECONDS = 5.0


def main() -> None:
    """Serve the parent at the other end of the socket that the command line names."""
    descriptor, lifeline, page = map(int, sys.argv[1:4])
    del sys.argv[1:]
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = _no_terminal
    show_messages()
    connection = _private(socket.socket(fileno=descriptor), lifeline)
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    counts = Page(page)
    outbox = Outbox(connection, counts)
    messages = frames(connection.makefile("rb"))
    status = 0
    try:
        _serve(messages, outbox, counts)
    except BaseException as error:  # noqa: BLE001 - the parent says it, whatever it is
        status = 1
        with contextlib.suppress(OSError):
            outbox.add(refused(error))
            outbox.flush()
    flush_printed()
    # Not past what the handler left behind: a thread that never ends must not hold this up.
    threading.Thread(target=_end_late, args=(status,), daemon=True).start()
    run_exit_functions()
    flush_printed()
    os._exit(status)


def _end_late(status: int) -> None:
    """End this when what the handler left behind keeps its end up, such as a process that stays."""
    time.sleep(LEFT_BEHIND_SECONDS)
    os._exit(status)


def _no_terminal(*arguments: Any, **keywords: Any) -> None:
    """For ``breakpoint()``: the terminal is the parent's."""
    del arguments, keywords
    raise HandlerError(
        "breakpoint() needs a terminal, which a worker process does not have.",
        stage="handle",
        hint="Run it with `mar run --in-process`.",
    )


def _private(connection: socket.socket, lifeline: int) -> socket.socket:
    """Keep what belongs to the parent from processes that the handler starts."""
    connection.set_inheritable(False)
    os.set_inheritable(lifeline, False)  # noqa: FBT003

    def let_go() -> None:
        connection.close()
        for descriptor in (connection_number, lifeline):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    connection_number = connection.fileno()
    os.register_at_fork(after_in_child=let_go)
    return connection


def _die_with_parent(lifeline: int) -> None:
    """Wait for the end of a pipe that nobody writes to, and end this and all that it started."""
    with contextlib.suppress(OSError):
        os.read(lifeline, 1)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _serve(messages: Iterator[list[tuple[Any, ...]]], outbox: Outbox, page: Page) -> None:
    answering: Answering | None = None
    for frame in messages:
        for kind, *fields in frame:
            if kind == CALL and answering is not None:
                answering.answer(*fields)
            elif kind == DESCRIBE and answering is not None:
                answering.describe(*fields)
            elif kind == IMPORT:
                _import(*fields)
            elif kind == LOAD:
                answering = _load(*fields, outbox=outbox, page=page)
            elif kind == END:
                if answering is not None:
                    answering.close()
                return
        outbox.flush()
    os.killpg(os.getpgid(0), signal.SIGKILL)  # the parent is gone


def _load(setup: Setup, *, outbox: Outbox, page: Page) -> Answering:
    from mar_core.plugins import PluginWarning, get_plugins
    from mar_core.runtime.answering import Answering

    with warnings.catch_warnings():
        # Which plugins cannot be used, the parent has said.
        warnings.simplefilter("ignore", PluginWarning)
        get_plugins()
    try:
        return Answering(setup, outbox, page)
    except HandlerError as error:
        if isinstance(error.__cause__, ModuleNotFoundError) and setup.prepared.interpreter:
            error.hint = (
                "It runs in an environment of its own, which has what the requirements name and no "
                "more: name its package there, and lock them again."
            )
        raise


def _import(module: str) -> None:
    """Import what the archive will need, while the parent still looks at the archive."""
    with contextlib.suppress(Exception):
        importlib.import_module(module)
