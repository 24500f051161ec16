"""The server: what all its parts share, and what it is made of."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import tempfile
import time
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core import MetricsConfig, Recipe, count_gpus, gpus_for
from mar_serve.errors import failure_error, internal, stopping
from mar_serve.guard import Guard
from mar_serve.managing import Management
from mar_serve.repository import Repository
from mar_serve.sources import fetched, from_start
from mar_serve.streams import Stream
from mar_serve.telemetry import Telemetry
from mar_serve.tokens import Tokens
from mar_serve.tracing import make_tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from mar_core import ArchiveRequest, Reply, Request
    from mar_serve.config import ModelSource, ServerConfig
    from mar_serve.parts import Added, Configured
    from mar_serve.version import ModelVersion

__all__ = ["Server"]

TICK_SECONDS = 0.1

logger = logging.getLogger("mar_serve.server")


class Server:
    """What the listeners, the models and the signals share.

    Args:
        config: How to serve.

    Attributes:
        config: The same.
        telemetry: What is counted.
        tracer: Makes spans of requests; None where nobody wants them.
        repository: The models.
        management: The verbs of the management API.
        extensions: What other distributions have added.
        tokens: The keys; None where none is asked for.
        guard: Keeps pages of other sites out.
        cores: The cores that this process may use.
        gpus: The GPUs that are dealt out.
        started: When the server began, in seconds since 1970.
        stopping: Whether nothing more is taken.
        loaded: Whether everything that was there at the start has been loaded.
        uploads: Where uploaded archives go.
        version: The server's version.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.version = version_of("mar-serve")
        self.telemetry = Telemetry(
            hostname=socket.gethostname(),
            mode=config.metrics_mode,
            shown=None if config.metrics_auto_detect else _shown_metrics(),
            system=config.system_metrics,
        )
        self.telemetry.loads = self._loads
        self.tracer = make_tracer()
        self.repository = Repository(self)
        self.management = Management(self)
        self.extensions: list[Added] = []
        self.tokens = self._make_tokens()
        self.guard = Guard(config)
        self.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        self.gpus = count_gpus() if config.gpus is None else config.gpus
        self.started = time.time()
        self.stopping = False
        self.loaded = False
        self._workers = 0
        self._dealt = 0
        self._held: set[asyncio.Task[Any]] = set()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    @property
    def ready(self) -> bool:
        """Whether every model answers."""
        return self.loaded and not self.stopping and self.repository.ready

    @property
    def uploads(self) -> Path:
        """The model store; without one, a folder that goes with the server."""
        if self.config.model_store is not None:
            return self.config.model_store
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="mar-serve-")
        return Path(self._temporary.name)

    def recipe(
        self,
        source: Path | ArchiveRequest,
        *,
        batch_size: int | None = None,
        handler: str | None = None,
    ) -> Recipe:
        """How an archive is loaded here."""
        config = self.config
        return Recipe(
            source=source,
            device=config.device,
            env=config.env,
            inherit=config.inherit,
            allow_build=config.allow_build,
            offline=config.offline,
            allow_pickle=config.allow_pickle,
            envelope=config.envelope,
            batch_size=batch_size,
            limit_image_pixels=config.limit_image_pixels,
            handler=handler,
        )

    async def predict(
        self,
        name: str,
        version: str | None,
        request: Request,
        *,
        on_part: Callable[[bytes], None] | None = None,
        seconds: float | None = None,
    ) -> Reply:
        """Answer a request that did not come over HTTP.

        Args:
            name: The model.
            version: The version; None is the default one.
            request: The request.
            on_part: Takes the pieces that the handler sends ahead; without it they are left out.
            seconds: How long the caller waits; None for as long as it takes.

        Returns:
            The answer; its body is what follows the pieces.

        Raises:
            ServeError: There is no answer.
        """
        if self.stopping:
            raise stopping()
        found = self.repository.find(name, version)
        explain = request.headers.get("explain") == "True"
        job = found.job(request, explain=explain)
        if seconds is not None:
            until = time.monotonic() + seconds
            job.deadline = until if job.deadline is None else min(until, job.deadline)
        try:
            outcome = await found.ask(job, asked=version)
            if isinstance(outcome, Stream):
                async for piece in outcome.pieces():
                    if on_part is not None:
                        on_part(piece)
                outcome = outcome.reply
                found.answered(job, outcome, named=version is not None)
        finally:
            job.forget()  # whoever asked has gone: it need not be run
        if outcome is None:
            raise internal("Worker died.")
        if outcome.failure is not None:
            raise failure_error(outcome)
        return outcome

    async def serve(self, source: ModelSource) -> ModelVersion:
        """Take a model up and start its workers.

        Raises:
            ServeError: It is there already, or it cannot be loaded.
            MarError: It is not there, or not sound.
        """
        found = await asyncio.to_thread(from_start, source, self.config)
        prepared = await self.repository.prepare(found, source.overrides)
        version = self.repository.add(prepared, found, source.overrides, name=source.name)
        version.listed = source.listed
        await self.repository.start(version)
        return version

    async def remove(self, name: str) -> None:
        """End a model with all of its versions.

        Raises:
            ServeError: There is none of that name.
        """
        await self.repository.remove_all(name)

    async def fetch(self, url: str, folder: Path | None = None) -> Path:
        """Bring a file that is allowed into the model store, or into another folder.

        Args:
            url: Where it is.
            folder: Where it goes; None is the model store.

        Raises:
            ServeError: It is not allowed, or cannot be had.
        """
        found = await asyncio.to_thread(fetched, url, self.config, folder)
        if not isinstance(found.source, Path):
            raise internal(f"{url} is no file.")
        return found.source

    async def changed(self) -> None:
        """Tell the extensions that the models have changed."""
        for extension in self.extensions:
            await extension.changed()

    def next_worker(self) -> int:
        """A number for a worker, from 9000 on as TorchServe's."""
        self._workers += 1
        return 8999 + self._workers

    def gpu_for(self, version: Configured, number: int) -> int | None:
        """Whose turn it is: of the GPUs that a model names, or of all; None for no GPU."""
        settings = version.settings
        config = {"deviceType": settings.device_type, "deviceIds": settings.device_ids}
        gpus = gpus_for(config, count=self.gpus) if self.config.device is None else []
        if not gpus:
            return None
        if settings.device_ids:
            return gpus[number % len(gpus)]
        self._dealt += 1
        return gpus[(self._dealt - 1) % len(gpus)]

    def hold(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something to its end, whoever waits for it: a task nobody holds is collected."""
        task = asyncio.create_task(work)
        self._held.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._held.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; without anybody, the log has it already

    async def watch_over(self) -> None:
        """Look after every version, for as long as the server runs."""
        # The first lines come at once: who reads the log need not wait for an interval's end.
        written = time.monotonic() - self.config.metric_interval
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for version in self.repository.all():
                try:
                    version.tick(now)
                except Exception:
                    logger.exception("%s could not be looked after", version)
            if now - written > self.config.metric_interval:
                written = now
                self.telemetry.log()

    async def stop(self, grace: float) -> None:
        """End every worker; what was taken is answered, within so many seconds."""
        self.stopping = True
        until = time.monotonic() + grace
        versions = list(self.repository.all())
        await asyncio.gather(*(version.stop(grace) for version in versions))
        if self._held:  # a version that another has replaced, and that still answers
            await asyncio.wait(self._held, timeout=max(0.0, until - time.monotonic()))
        for task in list(self._held):
            task.cancel()
        if self._held:
            await asyncio.wait(self._held, timeout=1.0)

    def close(self) -> None:
        """Leave nothing behind."""
        if self.tracer is not None:
            self.tracer.close()
        if self.tokens is not None:
            self.tokens.remove()
        if self._temporary is not None:
            self._temporary.cleanup()

    def snapshot(self) -> dict[str, Any]:
        """How the models do, for the page."""
        return {
            "server": {
                "name": "mar serve",
                "version": self.version,
                "uptime": round(time.time() - self.started, 1),
            },
            "models": [_shown(self, version) for version in self.repository.all()],
        }

    def _make_tokens(self) -> Tokens | None:
        config = self.config
        addresses = (config.inference, config.management)
        open_to_others = any(a is not None and not a.is_local for a in addresses)
        wanted = open_to_others if config.tokens is None else config.tokens
        return Tokens(config.key_folder, config.token_minutes) if wanted else None

    def _loads(self) -> Iterable[tuple[str, str, int, int]]:
        for version in self.repository.all():
            yield version.name, version.version, version.dispatch.waiting, version.live


def _shown_metrics() -> MetricsConfig:
    """TorchServe's metrics, and those of the file that the environment names."""
    path = os.environ.get("TS_METRICS_CONFIG")
    default = MetricsConfig.default()
    return default.joined(MetricsConfig.read(path)) if path else default


def _shown(server: Server, version: ModelVersion) -> dict[str, Any]:
    settings, stats = version.settings, version.stats
    return {
        "name": version.name,
        "version": version.version,
        "default": server.repository.models[version.name].default == version.version,
        "ready": version.ready,
        "explain": version.explains,
        "kind": _kind(version.handler),
        "workers": {
            "live": version.live,
            "min": settings.min_workers,
            "max": settings.max_workers,
        },
        "queue": {"waiting": version.dispatch.waiting, "size": settings.queue_size},
        "batch_size": settings.batch_size,
        "requests": stats.requests,
        "failed": stats.failed,
        "p50": stats.p50,
        "p99": stats.p99,
    }


def _kind(handler: str) -> str:
    """What a handler takes, by its name: a hint for the page, nothing more."""
    name = handler.lower()
    if any(word in name for word in ("image", "vision", "object_detector", "densenet", "mnist")):
        return "image"
    return "text" if "text" in name else ""
