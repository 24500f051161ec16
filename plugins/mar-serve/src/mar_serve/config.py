"""What the server is told: plain records that the command line, or a properties file, fills in."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import ArchiveRequest

__all__ = ["Address", "ModelSource", "Overrides", "ServerConfig"]

# TorchServe's own numbers.
QUEUE_SIZE = 100
REQUEST_BYTES = 6_553_500
RESPONSE_SECONDS = 120
STARTUP_SECONDS = 120
TOKEN_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens.

    Attributes:
        host: A name or an IP address.
        port: 0 takes a free one.
        path: A Unix socket's path, in place of host and port.
        scheme: ``http``, or ``https`` with the server's certificate.
    """

    host: str = "127.0.0.1"
    port: int = 0
    path: str | None = None
    scheme: Literal["http", "https"] = "http"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Numbers that win over a model's own model-config.yaml; None leaves its own."""

    min_workers: int | None = None
    max_workers: int | None = None
    batch_size: int | None = None
    max_batch_delay: int | None = None
    response_timeout: int | None = None
    startup_timeout: int | None = None
    queue_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A model to serve from the start.

    Attributes:
        name: What requests call it; None takes the archive's own name.
        source: A path, a name in the model store, a URL, or sources that were never packed.
        overrides: What wins over its own configuration.
        default: Whether its version becomes the one that is asked where none is named.
        listed: Whether clients see it among the models.
    """

    name: str | None
    source: str | ArchiveRequest
    overrides: Overrides = field(default_factory=Overrides)
    default: bool = False
    listed: bool = True


@dataclass(slots=True, kw_only=True)
class ServerConfig:
    """How to serve.

    Attributes:
        models: What to serve from the start.
        load_all: Serve everything that is in the model store.
        model_store: The folder that models may come from; None allows none at run time.
        inference: Where predictions are asked for.
        host_given: Whether the user said where; a cloud's container listens everywhere otherwise.
        management: Where models are managed; None leaves it out.
        metrics: Where metrics are read; None leaves it out.
        overrides: What wins over every model's own configuration.
        defaults: What holds where a model's own configuration says nothing.
        per_model: What wins over the configuration of one version, by model and version.
        default_workers: Workers of a model that asks for no number; None for one a GPU, or one.
        queue_size: Requests that may wait, by model.
        max_request_size: Bytes that a body may have.
        max_upload_size: Bytes that an uploaded archive may have.
        max_response_size: Bytes that an answer may have.
        tokens: Ask for tokens; None asks where an address is not loopback.
        token_minutes: How long a token is good for.
        key_folder: Where ``key_file.json`` is put.
        model_api: Whether models may be registered and removed over HTTP.
        allowed_urls: Patterns of URLs that models may come from; empty allows none.
        open_urls: Let models come from every public address and from files, as TorchServe does
            where nothing else is said; private addresses need a pattern.
        unregister_timeout: Seconds that the removal of a model may take; None lets what it has
            taken have the time that it has anyway.
        hosts: Names that a Host header may have besides the addresses' own.
        env: Where models run: ``auto``, ``off`` or a virtual environment, as a ``Recipe`` has it.
        inherit: Let ``auto`` use the server's own packages where a model's environment lacks them.
        allow_build: Build packages that have no wheels, for ``auto``.
        offline: Make environments of what uv has cached, for ``auto``.
        allow_pickle: Load weights that can run code when loaded.
        envelope: The request envelope around every handler.
        kserve: Whether the server speaks KServe's protocols itself (``protocol``), or hands their
            bodies to handlers as they are, as TorchServe does without an envelope (``raw``).
        open_inference: Whether all of KServe's v2 paths are there; without it, those that predict.
        certificate: The certificate chain of https addresses, in PEM.
        private_key: Its key.
        limit_image_pixels: Refuse pictures so large that they look like decompression bombs.
        metrics_auto_detect: Show metrics of handlers that no file names.
        system_metrics: Look at the machine.
        metric_interval: Seconds between two lines of the metrics log.
        decode: Whether JSON and text are decoded for handlers.
        device: Where models run; None takes the best that is there.
        gpus: How many GPUs to deal out; None counts them.
        grace: Seconds for what was taken, when the server ends.
        page_for_browsers: Whether ``GET /`` gives the page only to who takes HTML: TorchServe has
            nothing there, and says 405.
        max_requests: Requests after which a worker is replaced; 0 never.
        max_memory: Bytes of memory above which a worker is replaced; 0 never.
        idle_seconds: After so long without requests a model shrinks to its minimum.
        watch: Load sources again when a file is saved.
        cors_origin: ``Access-Control-Allow-Origin`` and its like, for every answer.
        cors_methods: Likewise.
        cors_headers: Likewise.
        header_seconds: How long a client may take for its headers.
        body_seconds: How long a client may take for its body, and for reading its answer.
        metrics_mode: ``prometheus``, ``log`` or ``legacy``.
        log: ``text`` or ``json``.
        access_log: Whether each request is logged.
    """

    models: tuple[ModelSource, ...] = ()
    load_all: bool = False
    model_store: Path | None = None
    inference: Address = field(default_factory=lambda: Address(port=8080))
    host_given: bool = False
    management: Address | None = field(default_factory=lambda: Address(port=8081))
    metrics: Address | None = field(default_factory=lambda: Address(port=8082))
    overrides: Overrides = field(default_factory=Overrides)
    defaults: Overrides = field(default_factory=Overrides)
    per_model: Mapping[str, Mapping[str, Overrides]] = field(default_factory=dict)
    default_workers: int | None = None
    queue_size: int = QUEUE_SIZE
    max_request_size: int = REQUEST_BYTES
    max_upload_size: int = 8 << 30
    max_response_size: int = REQUEST_BYTES
    tokens: bool | None = None
    token_minutes: float = TOKEN_MINUTES
    key_folder: Path = field(default_factory=Path.cwd)
    model_api: bool = False
    allowed_urls: tuple[str, ...] = ()
    open_urls: bool = False
    unregister_timeout: float | None = None
    hosts: tuple[str, ...] = ()
    env: str | None = None
    inherit: bool = False
    allow_build: bool = False
    offline: bool = False
    allow_pickle: bool = False
    envelope: str | None = None
    kserve: Literal["protocol", "raw"] = "protocol"
    open_inference: bool = True
    certificate: Path | None = None
    private_key: Path | None = None
    limit_image_pixels: bool = True
    metrics_auto_detect: bool = True
    system_metrics: bool = True
    metric_interval: float = 60.0
    decode: bool = True
    device: str | None = None
    gpus: int | None = None
    grace: float = 30.0
    page_for_browsers: bool = False
    max_requests: int = 0
    max_memory: int = 0
    idle_seconds: float = 60.0
    watch: bool = False
    cors_origin: str | None = None
    cors_methods: str | None = None
    cors_headers: str | None = None
    header_seconds: float = 20.0
    body_seconds: float = 60.0
    metrics_mode: Literal["prometheus", "log", "legacy"] = "prometheus"
    log: Literal["text", "json"] = "text"
    access_log: bool = False
