"""One session of measuring: from the first event of a process to the end of its run.

The process that the user started owns the session. Worker processes write into memory-mapped files
in a folder that they inherit by ``PROMETHEUS_MULTIPROC_DIR``, as Prometheus' client does for any
group of processes: what a worker has counted survives its death.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from mar_metrics.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_metrics.instruments import Instruments

__all__ = ["Session", "finish", "instruments"]

logger = logging.getLogger(__name__)

FOLDER, OWNER = "PROMETHEUS_MULTIPROC_DIR", "MAR_METRICS_OWNER"


class Session:
    """Instruments, and, in the process that owns them, what carries their values out.

    Args:
        settings: Where metrics go.

    Attributes:
        instruments: Takes what the hooks report.
        port: The port that is open, or None.

    Raises:
        OSError: The port is taken, or the file cannot be written.
        UsageError: OpenTelemetry is asked for and not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._process = os.getpid()
        self.port: int | None = None
        owns = os.environ.get(OWNER) in {None, str(self._process)}
        self._cleanup = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.push(self._cleanup.__exit__)
            if owns:
                self._share_folder()
            self.instruments = self._instruments()
            if owns:
                self._open(settings)
            undo.pop_all()

    @property
    def is_ours(self) -> bool:
        """Whether it is of this process, and not inherited by a fork."""
        return self._process == os.getpid()

    def close(self) -> None:
        """Write a last time, and let go of the port and the folder."""
        if self.is_ours:
            self._cleanup.close()

    def _share_folder(self) -> None:
        """A folder for the numbers of all processes; one that the user has set is taken."""
        if FOLDER not in os.environ:
            folder = tempfile.mkdtemp(prefix="mar-metrics-")
            self._cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
            self._set(FOLDER, folder)
        self._set(OWNER, str(self._process))

    def _set(self, name: str, value: str) -> None:
        os.environ[name] = value
        self._cleanup.callback(os.environ.pop, name, None)

    def _instruments(self) -> Instruments:
        from prometheus_client import CollectorRegistry, values

        from mar_metrics.instruments import Instruments

        # The client chooses when it is imported, and something else may have done that before us.
        self._cleanup.callback(setattr, values, "ValueClass", values.ValueClass)
        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
        return Instruments(CollectorRegistry())

    def _open(self, settings: Settings) -> None:
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        exports = _exports(settings, registry)
        for export in exports:
            export()  # a place that cannot be written to is told at once
        if settings.port is not None:
            self._serve(settings.port, settings.address, registry)
        stop = threading.Event()
        thread = threading.Thread(
            target=_repeat, args=(exports, settings.interval, stop), daemon=True
        )
        self._cleanup.callback(_export_all, exports)
        self._cleanup.callback(thread.join)
        self._cleanup.callback(stop.set)
        thread.start()
        atexit.register(self.close)
        self._cleanup.callback(atexit.unregister, self.close)

    def _serve(self, port: int, address: str, registry: Any) -> None:
        from prometheus_client import start_http_server

        server, thread = start_http_server(port, address, registry)
        self._cleanup.callback(thread.join)
        self._cleanup.callback(server.server_close)
        self._cleanup.callback(server.shutdown)
        self.port = server.server_port
        logger.info("metrics at http://%s:%d/metrics", address, self.port)


class _State:
    """The session of this process, and whether it could not be begun."""

    lock = threading.Lock()
    session: Session | None = None
    failed = False


def instruments() -> Instruments | None:
    """The instruments of this process's session, which begins at the first call.

    Returns:
        None where the session could not be begun; that was said once.

    Raises:
        OSError: The port is taken, or the file cannot be written.
        UsageError: A setting makes no sense.
    """
    with _State.lock:
        if _State.session is None or not _State.session.is_ours:
            if _State.failed:
                return None
            _State.failed = True
            _State.session = Session(read_settings())
            _State.failed = False
        return _State.session.instruments


def finish() -> None:
    """End the session, after a last writing."""
    with _State.lock:
        session, _State.session = _State.session, None
        _State.failed = False
    if session is not None:
        session.close()


def _exports(settings: Settings, registry: Any) -> list[Callable[[], None]]:
    exports: list[Callable[[], None]] = []
    if settings.file is not None:
        from prometheus_client import write_to_textfile

        file = str(settings.file)
        exports.append(lambda: write_to_textfile(file, registry))
    if settings.otel:
        from mar_metrics.otel import exporter_for

        exports.append(exporter_for(settings.otel, registry))
    return exports


def _repeat(exports: list[Callable[[], None]], interval: float, stop: threading.Event) -> None:
    while not stop.wait(interval):
        _export_all(exports)


def _export_all(exports: list[Callable[[], None]]) -> None:
    for export in exports:
        _export(export)


def _export(export: Callable[[], None]) -> None:
    try:
        export()
    except Exception as error:  # noqa: BLE001 - a collector that is down must not end the run
        logger.warning("Metrics cannot be written: %s", error)
