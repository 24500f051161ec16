"""Where metrics go, as the environment says.

- ``MAR_METRICS_FILE``: a file in Prometheus' text format, replaced whole at each writing, as the
  node exporter's textfile collector reads it.
- ``MAR_METRICS_PORT``: a port that Prometheus can scrape while mar runs; on
  ``MAR_METRICS_ADDRESS``, by default 127.0.0.1.
- ``MAR_METRICS_OTEL``: ``otlp`` sends to an OpenTelemetry collector, which the standard variables
  ``OTEL_EXPORTER_OTLP_…`` name; anything else is a file that gets one line of JSON each time.
- ``MAR_METRICS_INTERVAL``: seconds between two writings; 15 by default.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mar_core import UsageError

__all__ = ["Settings", "is_wanted", "read_settings"]

FILE, PORT, OTEL = "MAR_METRICS_FILE", "MAR_METRICS_PORT", "MAR_METRICS_OTEL"
ADDRESS, INTERVAL = "MAR_METRICS_ADDRESS", "MAR_METRICS_INTERVAL"
LAST_PORT = 65535
SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where metrics go.

    Attributes:
        file: The file in Prometheus' text format, or None.
        port: The port to scrape, or None; 0 takes any that is free.
        address: The address of the port.
        otel: ``otlp``, a file, or empty.
        interval: Seconds between two writings.
    """

    file: Path | None = None
    port: int | None = None
    address: str = "127.0.0.1"
    otel: str = ""
    interval: float = SECONDS


def is_wanted() -> bool:
    """Whether metrics go anywhere."""
    return any(os.environ.get(name) for name in (FILE, PORT, OTEL))


def read_settings() -> Settings:
    """What the environment says.

    Raises:
        UsageError: The port or the interval is no number, or none that makes sense.
    """
    file = os.environ.get(FILE)
    port = _number(PORT) if os.environ.get(PORT) else None
    if port is not None and not (port.is_integer() and 0 <= port <= LAST_PORT):
        raise UsageError(f"{PORT} must be a port, and it is {os.environ[PORT]!r}.")
    interval = _number(INTERVAL) if os.environ.get(INTERVAL) else SECONDS
    if not interval > 0:
        raise UsageError(f"{INTERVAL} must be seconds, and it is {os.environ[INTERVAL]!r}.")
    return Settings(
        file=Path(file) if file else None,
        port=None if port is None else int(port),
        address=os.environ.get(ADDRESS, "127.0.0.1"),
        otel=os.environ.get(OTEL, ""),
        interval=interval,
    )


def _number(name: str) -> float:
    try:
        return float(os.environ[name])
    except ValueError as error:
        raise UsageError(f"{name} must be a number, and it is {os.environ[name]!r}.") from error
