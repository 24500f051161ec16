"""The verbs of model management, whoever asks: HTTP, gRPC, or the server's own parts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from mar_core import MarError
from mar_serve.config import Overrides
from mar_serve.describe import described
from mar_serve.errors import ServeError, bad_request, internal, no_start, no_worker
from mar_serve.repository import Home, refusal
from mar_serve.sources import registered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_serve.repository import Repository
    from mar_serve.sources import Found
    from mar_serve.version import ModelVersion

__all__ = ["Management", "flag", "number"]

MOST = 100
MOST_WORKERS = 256
OK, ACCEPTED, PARTIAL = 200, 202, 206
_RUNTIMES = ("python", "python3", "LSP")
# A status, and the body that goes with it.
Told = tuple[int, dict[str, Any]]


def number(text: Any, default: int) -> int:
    """A parameter as a number; what is none is the default, as TorchServe has it."""
    if isinstance(text, bool) or not isinstance(text, (str, int)):
        return default
    try:
        return int(text)
    except ValueError:
        return default


def workers(text: Any, default: int) -> int:
    """A parameter as a number of worker processes.

    Raises:
        ServeError: It is more than any machine has room for; a slip of the finger must not be the
            end of everything else that runs here.
    """
    found = number(text, default)
    if found > MOST_WORKERS:
        raise bad_request(f"A model may have {MOST_WORKERS} workers at most.")
    return found


def flag(text: Any, *, default: bool) -> bool:
    """A parameter as a boolean."""
    if text is None:
        return default
    return text if isinstance(text, bool) else str(text).lower() == "true"


class _Server(Home, Protocol):
    repository: Repository

    async def changed(self) -> None: ...


class Management:
    """TorchServe's management API, without HTTP.

    Args:
        server: Whose models are managed.
    """

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._repository = server.repository

    @property
    def enabled(self) -> bool:
        """Whether models may be registered and removed."""
        return self._server.config.model_api

    def listed(self, limit: int, start: int) -> dict[str, Any]:
        """A page of the models, by name.

        Args:
            limit: At most so many; what is out of bounds is 100.
            start: How many to leave out.
        """
        start = max(0, start)
        limit = limit if 0 <= limit <= MOST else MOST
        models = sorted(self._repository.models.values(), key=lambda model: model.name)
        known = [model for model in models if model.versions[model.default].listed]
        answer: dict[str, Any] = {}
        if start + limit < len(known):
            answer["nextPageToken"] = str(start + limit)
        answer["models"] = [
            {"modelName": model.name, "modelUrl": model.versions[model.default].url}
            for model in known[start : start + limit]
        ]
        return answer

    async def register(self, given: Mapping[str, Any]) -> Told:
        """Register a model.

        Args:
            given: TorchServe's parameters; ``url`` is a must.

        Raises:
            ServeError: It is refused; what runs goes on.
        """
        if given.get("url") is None:
            raise bad_request("Parameter url is required.")
        runtime = given.get("runtime")
        if runtime and runtime not in _RUNTIMES:
            raise bad_request(f"Invalid RuntimeType value: {runtime}")
        found = await asyncio.to_thread(registered, str(given["url"]), self._server.config)
        try:
            return await self.take_up(found, given, name=given.get("model_name") or None)
        except ServeError:
            found.discard()
            raise

    async def take_up(self, found: Found, given: Mapping[str, Any], *, name: str | None) -> Told:
        """Validate an archive, register it, and start its workers.

        Args:
            found: The archive.
            given: TorchServe's parameters.
            name: What to call it; None takes its own name.

        Raises:
            ServeError: It is refused; what runs goes on.
        """
        repository, server = self._repository, self._server
        overrides = _overrides(given)
        try:
            handler = given.get("handler") or None
            await repository.examine(found, handler=handler)
            prepared = await repository.prepare(found, overrides, handler=handler)
        except MarError as error:
            raise refusal(error, found, name) from error
        initial = max(0, workers(given.get("initial_workers"), 0))
        version = repository.add(prepared, found, overrides, name=name, default_workers=initial)
        title = f'Model "{version.name}" Version: {version.version} registered with'
        if not version.settings.max_workers:
            await server.changed()
            scale = "Use scale workers API to add workers for the model."
            return OK, {"status": f"{title} 0 initial workers. {scale}"}
        starting = server.hold(self._and_tell(repository.start(version)))
        if not flag(given.get("synchronous"), default=True):
            return ACCEPTED, {"status": "Processing worker updates..."}
        await asyncio.shield(starting)
        return OK, {"status": f"{title} {version.settings.min_workers} initial workers"}

    async def describe(
        self, name: str, version: str | None, *, customized: bool = False
    ) -> list[dict[str, Any]]:
        """A version of a model, or with ``all`` every one, the newest first.

        Raises:
            ServeError: There is none, or it cannot be asked.
        """
        if version == "all":
            versions = self._repository.model(name).versions
            return [described(one) for one in reversed(versions.values())]
        found = self._repository.find(name, version)
        answer = described(found)
        if customized:
            answer["customizedMetadata"] = await _customized(found)
        return [answer]

    async def scale(self, name: str, version: str | None, given: Mapping[str, Any]) -> Told:
        """Change how many workers a model has.

        Args:
            name: The model.
            version: The version; None is the default one.
            given: ``min_worker``, ``max_worker``, ``synchronous`` and ``timeout``.

        Raises:
            ServeError: There is none, or the numbers make no sense, or a worker cannot start.
        """
        least = workers(given.get("min_worker"), 1)
        most = workers(given.get("max_worker"), least)
        if most < least:
            raise bad_request("max_worker cannot be less than min_worker.")
        found = self._repository.find(name, version)
        if least < 0:
            raise no_start(name, found.version)
        scaling = self._server.hold(self._and_tell(found.scale(least, most)))
        if not flag(given.get("synchronous"), default=False):
            return ACCEPTED, {"status": "Processing worker updates..."}
        seconds = number(given.get("timeout"), -1)
        try:
            async with asyncio.timeout(seconds if seconds > 0 else None):
                await asyncio.shield(scaling)
        except TimeoutError:
            return PARTIAL, {"status": "Workers scaling in progress..."}
        except (MarError, OSError) as error:
            # TorchServe's text has the version that the client named, as Java writes none.
            raise no_start(name, version or "null", error) from None
        of = f"{name}, version: {version}" if version is not None else name
        return OK, {"status": f"Workers scaled to {least} for model: {of}"}

    async def set_default(self, name: str, version: str) -> Told:
        """Name the version that is asked where none is named.

        Raises:
            ServeError: There is no such model or version.
        """
        self._repository.set_default(name, version)
        await self._server.changed()
        text = f'Default version successfully updated for model "{name}" to "{version}"'
        return OK, {"status": text}

    async def unregister(self, name: str, version: str | None) -> Told:
        """Remove a version, or with the only one the model.

        Raises:
            ServeError: There is none, or it is the default of several.
        """
        await self._repository.remove(name, version)
        await self._server.changed()
        return OK, {"status": f'Model "{name}" unregistered'}

    async def _and_tell(self, work: Any) -> None:
        await work
        await self._server.changed()


def _overrides(given: Mapping[str, Any]) -> Overrides:
    batch = number(given.get("batch_size"), 0)
    delay = number(given.get("max_batch_delay"), -1)
    answer = number(given.get("response_timeout"), -1)
    start = number(given.get("startup_timeout"), -1)
    return Overrides(
        batch_size=batch if batch > 0 else None,
        max_batch_delay=delay if delay >= 0 else None,
        response_timeout=answer if answer > 0 else None,
        startup_timeout=start if start >= 0 else None,
    )


async def _customized(found: ModelVersion) -> Any:
    slot = next((slot for slot in found.slots if slot.worker is not None), None)
    if slot is None or slot.worker is None:
        raise no_worker(found.name, None)
    try:
        return await slot.worker.describe()
    except MarError:
        raise internal("Failed to describe the model.") from None
