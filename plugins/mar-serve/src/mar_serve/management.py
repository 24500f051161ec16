"""TorchServe's management API: register, describe, scale, set the default, remove; and upload."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from mar_core import MarError
from mar_serve import openapi
from mar_serve.answers import Answer
from mar_serve.bodies import header_of
from mar_serve.config import Overrides
from mar_serve.describe import described
from mar_serve.errors import bad_request, internal, method_not_allowed, no_worker
from mar_serve.repository import refusal
from mar_serve.sources import registered
from mar_serve.upload import received

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_serve.calls import Call, Handler
    from mar_serve.sources import Found
    from mar_serve.version import ModelVersion

__all__ = ["TABLE"]

MOST = 100
ACCEPTED, PARTIAL = 202, 206
_RUNTIMES = ("python", "python3", "LSP")


def number(text: Any, default: int) -> int:
    """A parameter as a number; what is none is the default, as TorchServe has it."""
    if isinstance(text, bool) or not isinstance(text, (str, int)):
        return default
    try:
        return int(text)
    except ValueError:
        return default


def flag(text: Any, *, default: bool) -> bool:
    """A parameter as a boolean."""
    if text is None:
        return default
    return text if isinstance(text, bool) else str(text).lower() == "true"


async def models(call: Call) -> Answer:
    """``GET /models`` and ``POST /models``."""
    if call.method == "POST":
        return await _register(call)
    if call.method in {"GET", "HEAD"}:
        return _listed(call)
    raise method_not_allowed()


def _listed(call: Call) -> Answer:
    limit = number(call.query.get("limit"), MOST)
    start = max(0, number(call.query.get("next_page_token"), 0))
    limit = limit if 0 <= limit <= MOST else MOST
    known = sorted(call.server.repository.models.values(), key=lambda model: model.name)
    page = known[start : start + limit]
    answer: dict[str, Any] = {}
    if start + limit < len(known):
        answer["nextPageToken"] = str(start + limit)
    answer["models"] = [
        {"modelName": model.name, "modelUrl": model.versions[model.default].url} for model in page
    ]
    return Answer(answer)


async def _register(call: Call) -> Answer:
    if not call.server.config.model_api:
        raise method_not_allowed()
    given = await _given(call)
    if given.get("url") is None:
        raise bad_request("Parameter url is required.")
    runtime = given.get("runtime")
    if runtime and runtime not in _RUNTIMES:
        raise bad_request(f"Invalid RuntimeType value: {runtime}")
    found = await asyncio.to_thread(registered, str(given["url"]), call.server.config)
    return await _take_up(call, found, given, name=given.get("model_name") or None)


async def _given(call: Call) -> Mapping[str, Any]:
    if call.media_type != "application/json":
        return call.query
    given = await call.json()
    if not isinstance(given, dict):
        raise bad_request("The body must be a JSON object.")
    return given


async def _take_up(
    call: Call, found: Found, given: Mapping[str, Any], *, name: str | None
) -> Answer:
    """Validate an archive, register it, and start its workers.

    Raises:
        ServeError: It is refused; what runs goes on.
    """
    repository = call.server.repository
    batch = number(given.get("batch_size"), 0)
    delay = number(given.get("max_batch_delay"), -1)
    answer = number(given.get("response_timeout"), -1)
    start = number(given.get("startup_timeout"), -1)
    overrides = Overrides(
        batch_size=batch if batch > 0 else None,
        max_batch_delay=delay if delay >= 0 else None,
        response_timeout=answer if answer > 0 else None,
        startup_timeout=start if start > 0 else None,
    )
    try:
        prepared = await repository.prepare(found, overrides)
    except MarError as error:
        raise refusal(error, found) from error
    initial = max(0, number(given.get("initial_workers"), 0))
    version = repository.add(prepared, found, overrides, name=name, default_workers=initial)
    title = f'Model "{version.name}" Version: {version.version} registered with'
    least = version.settings.min_workers
    if not version.settings.max_workers:
        scale = "Use scale workers API to add workers for the model."
        return Answer({"status": f"{title} 0 initial workers. {scale}"})
    starting = call.server.hold(repository.start(version))
    if not flag(given.get("synchronous"), default=True):
        return Answer({"status": "Processing worker updates..."}, status=ACCEPTED)
    await asyncio.shield(starting)
    return Answer({"status": f"{title} {least} initial workers"})


async def model(call: Call) -> Answer:
    """``/models/{model}`` and ``/models/{model}/{version}``."""
    name, version = call.params["model"], call.params.get("version")
    if call.method in {"GET", "HEAD"}:
        return await _describe(call, name, version)
    if call.method == "PUT":
        if _has_body(call) and version is None:
            return await _upload(call, name)
        return await _scale(call, name, version or call.query.get("model_version"))
    if call.method == "DELETE" and call.server.config.model_api:
        await call.server.repository.remove(name, version)
        return Answer({"status": f'Model "{name}" unregistered'})
    if call.method == "OPTIONS":
        found = call.server.repository.find(name, version)
        return Answer(openapi.model_document(found.name, found.version))
    raise method_not_allowed()


def _has_body(call: Call) -> bool:
    length = header_of(call.scope, b"content-length")
    return header_of(call.scope, b"transfer-encoding") is not None or length not in {None, b"0"}


async def _upload(call: Call, name: str) -> Answer:
    if not call.server.config.model_api:
        raise method_not_allowed()
    found = await received(call, name)
    try:
        return await _take_up(call, found, {"initial_workers": 1, **call.query}, name=name)
    except BaseException:
        with contextlib.suppress(OSError, AttributeError):
            found.source.unlink()  # type: ignore[union-attr]
        raise


async def _describe(call: Call, name: str, version: str | None) -> Answer:
    repository = call.server.repository
    if version == "all":
        versions = list(repository.model(name).versions.values())
        return Answer([described(one) for one in versions])
    found = repository.find(name, version)
    answer = described(found)
    if flag(call.query.get("customized"), default=False):
        answer["customizedMetadata"] = await _customized(found)
    return Answer([answer])


async def _customized(found: ModelVersion) -> Any:
    slot = next((slot for slot in found.slots if slot.worker is not None), None)
    if slot is None or slot.worker is None:
        raise no_worker(found.name, None)
    try:
        return await slot.worker.describe()
    except MarError:
        raise internal("Failed to describe the model.") from None


async def _scale(call: Call, name: str, version: str | None) -> Answer:
    least = max(0, number(call.query.get("min_worker"), 1))
    most = number(call.query.get("max_worker"), least)
    if most < least:
        raise bad_request("max_worker cannot be less than min_worker.")
    found = call.server.repository.find(name, version)
    scaling = call.server.hold(found.scale(least, most))
    if not flag(call.query.get("synchronous"), default=False):
        return Answer({"status": "Processing worker updates..."}, status=ACCEPTED)
    seconds = number(call.query.get("timeout"), -1)
    try:
        async with asyncio.timeout(seconds if seconds > 0 else None):
            await asyncio.shield(scaling)
    except TimeoutError:
        return Answer({"status": "Workers scaling in progress..."}, status=PARTIAL)
    except (MarError, OSError):
        raise internal(
            f"Failed to start workers for model {name} version: {found.version}"
        ) from None
    of = f"{name}, version: {version}" if version is not None else name
    return Answer({"status": f"Workers scaled to {least} for model: {of}"})


async def set_default(call: Call) -> Answer:
    """``PUT /models/{model}/{version}/set-default``."""
    name, version = call.params["model"], call.params["version"]
    call.server.repository.set_default(name, version)
    text = f'Default version successfully updated for model "{name}" to "{version}"'
    return Answer({"status": text})


TABLE: tuple[tuple[str, Handler, list[str] | None], ...] = (
    ("/models", models, None),
    ("/models/{model}", model, None),
    ("/models/{model}/{version}", model, None),
    ("/models/{model}/{version}/set-default", set_default, ["PUT"]),
)
