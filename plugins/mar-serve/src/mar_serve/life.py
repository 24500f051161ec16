"""From the first socket to the last worker: start, signals, reload, end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core import MarError, UsageError
from mar_serve import log
from mar_serve.clouds import adapted
from mar_serve.config import ModelSource
from mar_serve.errors import ServeError
from mar_serve.extension import from_plugins
from mar_serve.listening import bind, listeners
from mar_serve.server import Server
from mar_serve.sources import from_start, in_store
from mar_serve.watching import watch

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from mar_serve.config import Address, Overrides, ServerConfig
    from mar_serve.extension import Extension
    from mar_serve.listening import Listener
    from mar_serve.sources import Found
    from mar_serve.version import ModelVersion

__all__ = ["run"]

ENDING = (signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger("mar_serve.server")


def run(config: ServerConfig, *, extend: Callable[[Server], Extension] | None = None) -> None:
    """Serve until a signal ends it.

    Args:
        config: How to serve.
        extend: Makes what is added to the server; who adds something also says where logs go.

    Raises:
        MarError: A model cannot be served, or an address cannot be had.
    """
    config = adapted(config)
    if extend is None:
        log.configure(as_json=config.log == "json", access=config.access_log)
    bound = bind(config)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_Life(config, bound, extend).run())
    finally:
        for _, opened in bound.values():
            opened.close()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class _Life:
    """One run of the server."""

    def __init__(
        self,
        config: ServerConfig,
        bound: dict[str, tuple[Address, socket.socket]],
        extend: Callable[[Server], Extension] | None,
    ) -> None:
        self._config = config
        self._bound = bound
        self._extend = extend
        self._server = Server(config)
        self._ending = asyncio.Event()
        self._served: list[tuple[ModelVersion, ModelSource]] = []
        self._reloading = asyncio.Lock()

    async def run(self) -> None:
        """Serve."""
        server, loop = self._server, asyncio.get_running_loop()
        server.extensions += from_plugins(server)
        if self._extend is not None:
            server.extensions.append(self._extend(server))
        for number in ENDING:
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        open_listeners = listeners(server, self._bound)
        serving = [
            asyncio.create_task(listener.serve(sockets=[opened]))
            for listener, opened in open_listeners
        ]
        looking = [asyncio.create_task(server.watch_over())]
        try:
            for (listener, _), task in zip(open_listeners, serving, strict=True):
                await listener.until_listening(task)
            await self._until_loaded_or_ended()
            if not self._ending.is_set():
                for extension in server.extensions:
                    await extension.started()
                self._greet()
                if self._config.watch:
                    sources = [source for _, source in self._served]
                    looking.append(asyncio.create_task(watch(sources, self.reload)))
                await self._ending.wait()
        finally:
            await self._stop(open_listeners, serving)
            for task in looking:
                task.cancel()
            await asyncio.wait(looking)
            server.close()

    async def _until_loaded_or_ended(self) -> None:
        """Load every model; a signal meanwhile ends it."""
        loading = asyncio.create_task(self._load())
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait((loading, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not loading.done():
            loading.cancel()
            with contextlib.suppress(asyncio.CancelledError, MarError, ServeError):
                await loading
            return
        try:
            loading.result()
        except ServeError as error:
            raise UsageError(error.message) from error

    async def _load(self) -> None:
        config = self._config
        found = [await asyncio.to_thread(from_start, one, config) for one in config.models]
        wanted = [(one, source, True) for one, source in zip(found, config.models, strict=True)]
        if config.load_all:
            known = {one.source for one in found}
            more = [one for one in in_store(config) if one.source not in known]
            wanted += [(one, ModelSource(name=None, source=str(one.source)), False) for one in more]
        for one, source, named in wanted:
            version = await self._take_up(one, source, named=named)
            if version is not None:
                self._served.append((version, source))
        starts = (v.scale(v.settings.min_workers, v.settings.max_workers) for v, _ in self._served)
        await asyncio.gather(*starts)
        self._server.loaded = True

    async def _take_up(
        self, found: Found, source: ModelSource, *, named: bool
    ) -> ModelVersion | None:
        repository = self._server.repository
        wins = self._wins(source)
        try:
            prepared = await repository.prepare(found, *wins)
        except MarError as error:
            if named:
                raise
            # One broken file in a store must not keep the others from being served.
            logger.error("%s is not served: %s", found.url, error)  # noqa: TRY400 - a sentence
            return None
        version = repository.add(prepared, found, *wins, name=source.name, from_start=True)
        version.listed = source.listed
        if source.default:
            repository.set_default(version.name, version.version)
        return version

    def _wins(self, source: ModelSource) -> tuple[Overrides, ...]:
        return (self._config.overrides, source.overrides)

    async def reload(self) -> None:
        """Load every model again that was there at the start; what is broken goes on as it was."""
        async with self._reloading:
            for at, (old, source) in enumerate(list(self._served)):
                try:
                    fresh = await self._reload_one(old, source)
                except (MarError, ServeError, OSError) as error:
                    logger.error("%s goes on as it was: %s", old, error)  # noqa: TRY400 - likewise
                else:
                    self._served[at] = (fresh, source)

    async def _reload_one(self, old: ModelVersion, source: ModelSource) -> ModelVersion:
        repository = self._server.repository
        found = await asyncio.to_thread(from_start, source, self._config)
        wins = self._wins(source)
        prepared = await repository.prepare(found, *wins)
        model = repository.models.get(old.name)
        if model is None or model.versions.get(old.version) is not old:
            return old  # it was removed by the management API
        # Only a file's digest is that of all its bytes.
        packed = isinstance(found.source, Path) and found.source.is_file()
        if packed and prepared.digest == old.prepared.digest:
            return old
        return await repository.replace(old, prepared, *wins)

    def _reload_soon(self) -> None:
        logger.info("loading the models again")
        self._server.hold(self.reload())

    def _end(self) -> None:
        if self._ending.is_set():  # asked twice: at once
            logger.warning("ending at once")
            self._server.config.grace = 0.1
        self._ending.set()

    async def _stop(
        self, running: list[tuple[Listener, socket.socket]], serving: list[asyncio.Task[None]]
    ) -> None:
        """Take nothing more, answer what was taken, and end."""
        grace = self._config.grace
        until = time.monotonic() + grace
        self._server.stopping = True
        for listener, _ in running:
            listener.should_exit = True
        done = asyncio.gather(*serving, return_exceptions=True)
        await asyncio.wait([done], timeout=max(0.2, grace - 1))
        for listener, _ in running:
            listener.force_exit = True
        for extension in self._server.extensions:
            await extension.stopping(max(0.1, until - time.monotonic()))
        await self._server.stop(max(0.1, until - time.monotonic()))
        await asyncio.wait([done], timeout=1.0)

    def _greet(self) -> None:
        server = self._server
        addresses = {kind: str(address) for kind, (address, _) in self._bound.items()}
        log.greet(models=server.snapshot()["models"], addresses=addresses, notes=self._notes())

    def _notes(self) -> list[str]:
        tokens = self._server.tokens
        if tokens is not None:
            return [f"Requests need a token; {tokens.path} has them."]
        local = all(address.is_local for address, _ in self._bound.values())
        who = "this machine only" if local else "everybody who can reach it, without a token"
        return [f"Open to {who}."]
