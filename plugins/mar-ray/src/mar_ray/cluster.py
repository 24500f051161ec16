"""Joining a Ray cluster, or starting one on this machine, without a word on the terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cluster", "joined"]

# Ray's own switches. Whoever has set one keeps it, but for the first: nothing is ever reported.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's C++ core writes to standard error, past every logger.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # A batch that takes too much memory must cost its own worker, which the system then ends, and
    # not the process that looks after it.
    "RAY_memory_monitor_refresh_ms": "0",
}
_LOGGERS = ("ray", "ray.data", "ray.train", "ray.tune")
_PASSED_ON = ("MAR_DISABLED_PLUGINS", "MAR_STRICT_PLUGINS")
_LOOPBACK = "127.0.0.1"
REACH_SECONDS = 10.0
STDERR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The cluster that has been joined.

    Attributes:
        node: The id of the node that this process runs on.
        cpus: How many CPUs it has now.
        gpus: How many GPUs it has now.
    """

    node: str
    cpus: int
    gpus: int


@contextlib.contextmanager
def joined(address: str | None, *, workers: int | None) -> Iterator[Cluster]:
    """Join the cluster at an address, or start one here that ends with the run.

    Args:
        address: ``HOST:PORT``, or ``auto`` for the cluster of this machine; None takes
            ``RAY_ADDRESS``, and without it starts a cluster.
        workers: How many actors the user wants; a cluster that is started has room for them.

    Raises:
        UsageError: There is no cluster at that address, or Ray refuses to join or start.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_address(address)
    ray = _import_ray()
    if ray.is_initialized():  # by the program that uses mar, and it is for that program to end it
        yield _describe(ray)
        return
    with _signals_kept(), _quiet():
        _join(ray, address, workers)
    # Ray prints here whatever it has lost and replaced, the last of it when it is shut down; its
    # logs have it, too.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        try:
            yield _describe(ray)
        finally:
            with _signals_kept():
                ray.shutdown()


def _import_ray() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    with warnings.catch_warnings():
        # Ray Data deprecates its own defaults, which it sets when it is imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        import ray.data

        ray.data.DataContext.get_current()
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray


def _check_address(address: str) -> None:
    """Say at once that nobody is there, where Ray would try for minutes."""
    if address in {"local", "auto"}:
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise UsageError(
            f"{address!r} is no address of a Ray cluster.",
            hint="Give HOST:PORT as `ray start --head` says it, or `auto`, on one of its machines.",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"There is no Ray cluster at {address}: {getattr(error, 'strerror', '') or error}."
        ) from error


def _join(ray: Any, address: str, workers: int | None) -> None:
    variables = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
    options: dict[str, Any] = {"runtime_env": {"env_vars": variables}} if variables else {}
    if address == "local":
        # Nobody but this machine can reach it.
        options |= {"include_dashboard": False, "_node_ip_address": _LOOPBACK}
        if workers and workers > (os.cpu_count() or 1):
            options["num_cpus"] = workers
    try:
        ray.init(
            address=address,
            configure_logging=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            **options,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        what = "start" if address == "local" else f"join the cluster at {address}"
        raise UsageError(f"Ray cannot {what}: {reason}.") from error


def _describe(ray: Any) -> Cluster:
    resources = ray.cluster_resources()
    return Cluster(
        node=ray.get_runtime_context().get_node_id(),
        cpus=int(resources.get("CPU", 1)),
        gpus=int(resources.get("GPU", 0)),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep away what Ray's C++ core says while it starts, such as its own log level."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), STDERR)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, STDERR)
        os.close(kept)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; who had it before gets it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
