"""Every path but the hot one, for the listeners that have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router

from mar_serve import clouds, kserve, management, page, plain, tokens_api, v2
from mar_serve.calls import Endpoint
from mar_serve.errors import ServeError, method_not_allowed, not_found
from mar_serve.extension import routes_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from starlette.types import Receive, Scope, Send

    from mar_serve.answers import Headers
    from mar_serve.calls import Handler
    from mar_serve.inference import Inference
    from mar_serve.server import Server
    from mar_serve.tokens import Token

__all__ = ["Routes"]

MISSING, WRONG_METHOD = 404, 405
# The keys that paths ask for.
INFERENCE: Token = "inference"
MANAGEMENT: Token = "management"
API: Token = "API"
_GET = ("GET",)
_POST = ("POST",)


class Routes:
    """The router of one listener.

    Args:
        server: The server.
        kinds: What the listener is for.
        common: The headers of every answer.
        inference: What answers predictions, where the listener is for them.
    """

    def __init__(
        self,
        server: Server,
        kinds: Collection[str],
        common: Headers,
        inference: Inference | None,
    ) -> None:
        self._server = server
        self._common = common
        self._app: Any = object()  # makes starlette raise what it would otherwise answer as text
        self._has_page = inference is not None
        routes: list[Route] = []
        if inference is not None:
            routes += page.routes(server.snapshot, for_browsers=server.config.page_for_browsers)
            routes += self._inference(inference)
        if "management" in kinds:
            routes += self._management()
        if "metrics" in kinds:
            routes += [self._route("/metrics", plain.metrics, _GET)]
        added: list[str] = []
        described = plain.described_for(frozenset(kinds), added)
        routes += [
            self._route("/openapi.json", described, _GET),
            self._route("/api-description", described, _GET),
            self._route("/", described, ("OPTIONS",)),
        ]
        if inference is not None:
            routes += self._old(inference)
        taken = {route.path for route in routes}
        for path, handler, methods, token in routes_of(server.extensions, kinds, taken):
            added.append(path)
            guarded = token == MANAGEMENT
            routes.insert(0, self._route(path, handler, methods, token=token, guarded=guarded))
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Answer a request.

        Raises:
            ServeError: There is nothing at that path, or not with that method.
        """
        scope["mar_id"] = request_id
        scope["app"] = self._app
        if scope["method"] == "OPTIONS" and self._is_preflight(scope):
            await plain.preflight(scope, send, self._common, request_id)
            return
        path = scope["path"] = scope["path"].rstrip("/") or "/"
        if self._has_page and (path == "/" or path.startswith("/page/")):
            self._server.guard.check(scope)
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:
            raise self._refusal(error.status_code) from None

    def _refusal(self, status: int) -> ServeError:
        self._server.telemetry.counted(status)
        return method_not_allowed() if status == WRONG_METHOD else not_found()

    def _is_preflight(self, scope: Scope) -> bool:
        asked = any(name == b"access-control-request-method" for name, _ in scope["headers"])
        return asked and bool(self._server.config.cors_origin)

    def _route(
        self,
        path: str,
        handler: Handler,
        methods: Collection[str] | None = None,
        *,
        token: Token | None = None,
        guarded: bool = False,
    ) -> Route:
        endpoint = Endpoint(self._server, handler, self._common, token=token, guarded=guarded)
        return Route(path, endpoint, methods=None if methods is None else list(methods))

    def _inference(self, inference: Inference) -> Iterator[Route]:
        predict, explain = plain.predictions(inference), plain.explanations(inference)
        yield self._route("/ping", plain.ping, token=INFERENCE)
        for path in ("/{model}", "/{model}/{version}", "/{model}/{version}/{rest:path}"):
            yield self._route(f"/predictions{path}", predict, token=INFERENCE)
            yield self._route(f"/explanations{path}", explain, token=INFERENCE)
        invoke = clouds.invocations(inference)
        yield self._route("/invocations", invoke, token=INFERENCE)
        yield self._route("/models/{model}/invoke", invoke, token=INFERENCE)
        v1 = kserve.V1(inference)
        yield self._route("/v1/models", kserve.listed, _GET, token=INFERENCE)
        yield self._route("/v1/models/{model}:predict", v1.predict, _POST, token=INFERENCE)
        yield self._route("/v1/models/{model}:explain", v1.explain, _POST, token=INFERENCE)
        yield self._route("/v1/models/{model}", kserve.ready, _GET, token=INFERENCE)
        everything = self._server.config.open_inference
        for path, handler, methods in v2.table(inference, everything=everything):
            token: Token | None = None if path.startswith("/v2/health") else INFERENCE
            yield self._route(path, handler, methods, token=token)
        for path, handler, methods in clouds.vertex(v1):
            yield self._route(path, handler, methods)

    def _management(self) -> Iterator[Route]:
        for path, handler, methods in management.TABLE:
            yield self._route(path, handler, methods, token=MANAGEMENT, guarded=True)
        yield self._route("/token", tokens_api.renew, ("GET", "POST"), token=API, guarded=True)

    def _old(self, inference: Inference) -> Iterator[Route]:
        """The oldest routes, which would hide others if they did not come last."""
        old = plain.old_predictions(inference)
        yield self._route("/{model}/predict", old, token=INFERENCE)
        yield self._route("/{model}/{version}/predict", old, token=INFERENCE)
