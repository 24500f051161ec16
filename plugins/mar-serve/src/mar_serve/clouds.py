"""What SageMaker and Vertex ask of a container: fixed ports, and paths of their own."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from mar_core import InputError, UsageError
from mar_serve.config import Address
from mar_serve.errors import bad_request, stopping
from mar_serve.plain import ping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mar_core import Request
    from mar_serve.answers import Answer
    from mar_serve.calls import Call, Handler
    from mar_serve.config import ServerConfig
    from mar_serve.inference import Inference
    from mar_serve.kserve import V1

__all__ = ["adapted", "invocations", "vertex"]

SAGEMAKER_PORT = "SAGEMAKER_BIND_TO_PORT"
VERTEX_PORT = "AIP_HTTP_PORT"
HEALTH, PREDICT = "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"
NOT_READY = 503
EVERYWHERE = "0.0.0.0"  # noqa: S104 - the clouds' contract


def adapted(config: ServerConfig, environment: Mapping[str, str] = os.environ) -> ServerConfig:
    """The configuration, as the cloud that the server finds itself in wants it.

    Both clouds reach the container by a port that they name, from outside, and send no token; only
    inference listens there.

    Raises:
        UsageError: The port is no number.
    """
    text = environment.get(SAGEMAKER_PORT) or environment.get(VERTEX_PORT)
    if not text:
        return config
    if not text.isdecimal():
        name = SAGEMAKER_PORT if environment.get(SAGEMAKER_PORT) else VERTEX_PORT
        raise UsageError(f"{name} must be a port, not {text!r}.")
    tokens = False if config.tokens is None else config.tokens
    host = config.inference.host if config.host_given else EVERYWHERE
    address = Address(host=host, port=int(text))
    return dataclasses.replace(config, inference=address, tokens=tokens)


def invocations(inference: Inference) -> Handler:
    """SageMaker's paths; the model may be left out where there is one only."""

    async def answer(call: Call) -> Answer | None:
        if call.server.stopping:
            raise stopping()
        named = call.params.get("model") or call.query.get("model_name")
        await inference.predict(
            call.scope,
            call.receive,
            call.send,
            name=named or (lambda request: _named_in(request) or _only_model(call)),
            fields=call.query,
            request_id=call.request_id,
        )
        return None

    return answer


def _named_in(request: Request) -> str | None:
    """The model that a form names."""
    try:
        return request.form_field("model_name")
    except InputError as error:
        raise bad_request(error.message) from None


def _only_model(call: Call) -> str:
    models = call.server.repository.models
    if len(models) != 1:
        raise bad_request("Parameter model_name is required.")
    return next(iter(models))


def vertex(
    v1: V1, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[str, Handler, list[str]]]:
    """Vertex's paths, where it names them."""
    health, predict = environment.get(HEALTH), environment.get(PREDICT)

    async def healthy(call: Call) -> Answer:
        answer = await ping(call)
        answer.status = NOT_READY if not call.server.ready else answer.status
        return answer

    async def predicted(call: Call) -> Answer | None:
        call.params = {"model": _only_model(call)}
        return await v1.predict(call)

    if health and health != "/ping":
        yield health, healthy, ["GET"]
    if predict:
        yield predict, predicted, ["POST"]
