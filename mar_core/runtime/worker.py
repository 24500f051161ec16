"""A worker process: loads the archive, and answers batches until its parent is gone.

Run as ``python -m mar_core.runtime.worker DESCRIPTOR``. Results travel over that descriptor alone:
what a handler prints lands on standard error.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError, MarError
from mar_core.run.writers.blobs import BlobFolder
from mar_core.runtime.values import plain
from mar_core.runtime.wire import WIRED, Done, Ready, Refused, send

if TYPE_CHECKING:
    from mar_core.runtime.batching import NumberedBatch
    from mar_core.runtime.wire import Setup

__all__ = ["main"]


def main(descriptor: int) -> None:
    """Serve the parent at the other end of a socket.

    Args:
        descriptor: The socket's file descriptor.
    """
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(descriptor)
    # A child that the handler forks must not keep the connection open.
    os.register_at_fork(after_in_child=connection.close)
    setup = connection.recv()
    jobs: queue.SimpleQueue[NumberedBatch | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, jobs), daemon=True).start()
    try:
        _serve(connection, jobs, setup)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the parent says it, whatever it is
        send(connection, Refused(error=_sendable(error)))


def _receive(connection: Connection, jobs: queue.SimpleQueue[NumberedBatch | None]) -> None:
    """Take batches in while others run, and end at once when the parent is gone."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            jobs.put(connection.recv())
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _serve(
    connection: Connection,
    jobs: queue.SimpleQueue[NumberedBatch | None],
    setup: Setup,
) -> None:
    save = BlobFolder(setup.output_dir).save_for if setup.output_dir else None
    with setup.recipe.load() as predictor:
        by_length = predictor.loaded.by_length
        send(connection, Ready(batch_size=predictor.batch_size, by_length=by_length))
        caught = (Exception, SystemExit, KeyboardInterrupt)
        runner = predictor.runner(explain=setup.explain, caught=caught)
        seconds = predictor.life.seconds
        while (batch := jobs.get()) is not None:
            outcomes = [plain(outcome, save=save) for outcome in runner.run(batch)]
            _flush()
            message = Done(
                outcomes=outcomes, seconds=dict(seconds), out_of_memory=runner.out_of_memory_at
            )
            seconds.clear()
            runner.out_of_memory_at = None
            send(connection, message)


def _sendable(error: BaseException) -> MarError:
    """The error as one of ours, which the parent can make again."""
    if isinstance(error, MarError) and type(error).__module__ in WIRED:
        return error
    text = f"The archive cannot be loaded: {type(error).__name__}: {error}"
    return HandlerError(text, stage="load", hint=getattr(error, "hint", None))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


if __name__ == "__main__":
    arguments: list[Any] = sys.argv[1:]
    main(int(arguments[0]))
