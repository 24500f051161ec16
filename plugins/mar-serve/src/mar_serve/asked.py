"""From the words of ``mar serve`` to what the server is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mar_core import ArchiveRequest, UsageError
from mar_serve.config import Address, ModelSource, Overrides, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Asked", "config_of"]

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*)=(.+)")
_WORKERS = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(?:i?[bB])?")
LOCAL = "127.0.0.1"
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Every flag of ``mar serve`` as it was typed; ``mar serve --help`` says what each means."""

    archives: tuple[str, ...] = ()
    model_store: Path | None = None
    models: tuple[str, ...] = ()
    workers: str | None = None
    batch_size: int | None = None
    max_batch_delay: int | None = None
    response_timeout: int | None = None
    device: str | None = None
    envelope: str | None = None
    max_requests: int = 0
    max_memory: str | None = None
    idle_seconds: float = 60.0
    watch: bool = False
    grace: float = 30.0
    host: str | None = None
    port: int = 8080
    management_host: str = "127.0.0.1"
    management_port: int = 8081
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 8082
    log: Literal["text", "json"] = "text"
    access_log: bool = False
    tokens: bool | None = None
    enable_model_api: bool = False
    allowed_url: tuple[str, ...] = ()
    allowed_host: tuple[str, ...] = ()
    cors: str | None = None
    max_request_size: int = 6_553_500
    slow_client: float = 60.0
    env: str | None = None
    offline: bool = False
    allow_build: bool = False
    allow_pickle: bool = False
    handler: str | None = None
    model_file: Path | None = None
    serialized_file: Path | None = None
    extra_files: tuple[str, ...] = ()
    config_file: Path | None = None
    model_name: str | None = None


def config_of(asked: Asked) -> ServerConfig:
    """What the server is told.

    Args:
        asked: The flags.

    Raises:
        UsageError: They make no sense together.
    """
    models, load_all = _models(asked)
    return ServerConfig(
        models=models,
        load_all=load_all,
        model_store=asked.model_store,
        inference=Address(asked.host or LOCAL, asked.port),
        host_given=asked.host is not None,
        management=Address(
            _host(asked, asked.management_host, asked.management_port), asked.management_port
        ),
        metrics=Address(_host(asked, asked.metrics_host, asked.metrics_port), asked.metrics_port),
        overrides=_overrides(asked),
        max_request_size=asked.max_request_size,
        tokens=asked.tokens,
        model_api=asked.enable_model_api,
        allowed_urls=_patterns(asked.allowed_url),
        hosts=asked.allowed_host,
        env=asked.env,
        allow_build=asked.allow_build,
        offline=asked.offline,
        allow_pickle=asked.allow_pickle,
        envelope=asked.envelope,
        device=asked.device,
        grace=asked.grace,
        max_requests=asked.max_requests,
        max_memory=_bytes(asked.max_memory),
        idle_seconds=asked.idle_seconds,
        header_seconds=min(20.0, asked.slow_client),
        body_seconds=asked.slow_client,
        watch=asked.watch,
        cors_origin=asked.cors,
        cors_methods="GET, POST, PUT, OPTIONS" if asked.cors else None,
        cors_headers="*" if asked.cors else None,
        log=asked.log,
        access_log=asked.access_log,
    )


def _models(asked: Asked) -> tuple[tuple[ModelSource, ...], bool]:
    """What to serve from the start, and whether that is everything in the store."""
    listed = _listed(asked.models)
    load_all = "all" in listed
    words = [*asked.archives, *(word for word in listed if word != "all")]
    models = tuple(_source(word) for word in words)
    unpacked = _unpacked(asked)
    if unpacked is not None:
        models += (ModelSource(name=None, source=unpacked),)
    store = asked.model_store
    if load_all and store is None:
        raise UsageError("--models all needs --model-store, the folder that has them.")
    if store is not None and not store.is_dir():
        raise UsageError(f"The model store {store} is no folder.")
    if not models and not load_all and not asked.enable_model_api:
        raise UsageError(
            "There is nothing to serve.",
            hint="Name an archive, or --model-store and --models all, or --enable-model-api.",
        )
    return models, load_all


def _host(asked: Asked, host: str, port: int) -> str:
    """One port for both means one address for both: the user asked for it."""
    return (asked.host or LOCAL) if asked.port and port == asked.port else host


def _listed(values: Sequence[str]) -> list[str]:
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def _source(word: str) -> ModelSource:
    named = _NAMED.fullmatch(word)
    if named is None:
        return ModelSource(name=None, source=word)
    return ModelSource(name=named[1], source=named[2])


def _unpacked(asked: Asked) -> ArchiveRequest | None:
    if asked.handler is None:
        files = (asked.model_file, asked.serialized_file, asked.config_file)
        if any(files) or asked.extra_files or asked.model_name:
            raise UsageError("The flags of an archive that was never packed need --handler.")
        return None
    return ArchiveRequest(
        model_name=asked.model_name or "model",
        handler=asked.handler,
        version="1.0",
        model_file=asked.model_file,
        serialized_file=asked.serialized_file,
        extra_files=asked.extra_files,
        config_file=asked.config_file,
        allow_pickle=asked.allow_pickle,
    )


def _overrides(asked: Asked) -> Overrides:
    least, most = _worker_range(asked.workers)
    return Overrides(
        min_workers=least,
        max_workers=most,
        batch_size=asked.batch_size,
        max_batch_delay=asked.max_batch_delay,
        response_timeout=asked.response_timeout,
    )


def _worker_range(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    found = _WORKERS.fullmatch(text.strip())
    least = int(found[1]) if found else 0
    most = int(found[2]) if found and found[2] else least
    if found is None or most < 1 or most < least:
        raise UsageError(f"--workers must be a number, or a range such as 0-4, not {text!r}.")
    return least, most


def _patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--allowed-url {pattern!r} is no pattern: {error}.") from error
    return patterns


def _bytes(text: str | None) -> int:
    if text is None:
        return 0
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--max-memory must be a size such as 4GB, not {text!r}.")
    return int(float(found[1]) * 1024 ** _POWERS[found[2].lower()])
