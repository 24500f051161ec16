"""TorchServe's log files, under their names, in its form."""

from __future__ import annotations

import datetime as dt
import logging
import logging.handlers
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["configure"]

LOG_BYTES = 100 * 1024 * 1024
LOG_FILES = 5
_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}


class _Line(logging.Formatter):
    """``2024-01-31T12:00:00,123 [INFO ] thread logger - message``, always one line."""

    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, record.levelname)
        text = super().format(record).replace("\n", "\n    ")
        return f"{_moment(record)} [{level:<5}] {record.threadName} {record.name} - {text}"


class _Bare(logging.Formatter):
    """``2024-01-31T12:00:00,123 - message``."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{_moment(record)} - {record.getMessage()}"


# ``(logger, file, whether it belongs to metrics, formatter)``.
_DESTINATIONS: tuple[tuple[str, str, bool, type[logging.Formatter]], ...] = (
    ("mar_serve", "ts_log.log", False, _Line),
    ("mar_torchserve", "ts_log.log", False, _Line),
    ("mar_core", "ts_log.log", False, _Line),
    ("mar_serve.access", "access_log.log", False, _Bare),
    ("mar_serve.output", "model_log.log", False, _Line),
    ("mar_serve.metrics", "ts_metrics.log", True, _Bare),
    ("mar_serve.model_metrics", "model_metrics.log", True, _Bare),
)


def configure(log_folder: Path, metrics_folder: Path) -> None:
    """Send every logger to its file, and to standard output, as TorchServe does.

    Args:
        log_folder: ``LOG_LOCATION``; made where it is not there.
        metrics_folder: ``METRICS_LOCATION``; likewise.

    Raises:
        OSError: A folder or file cannot be made.
    """
    handlers: dict[Path, logging.Handler] = {}
    for name, file, metrics, formatter in _DESTINATIONS:
        folder = metrics_folder if metrics else log_folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / file
        if path not in handlers:
            made = logging.handlers.RotatingFileHandler(
                path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
            )
            made.setFormatter(formatter())
            handlers[path] = made
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        shown = logging.StreamHandler(sys.stdout)
        shown.setFormatter(formatter())
        logger.handlers = [handlers[path], shown]


def _moment(record: logging.LogRecord) -> str:
    when = dt.datetime.fromtimestamp(record.created).astimezone()
    return f"{when:%Y-%m-%dT%H:%M:%S},{int(record.msecs):03d}"
