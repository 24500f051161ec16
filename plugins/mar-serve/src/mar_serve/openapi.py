"""The server's OpenAPI documents, made from the table of its paths."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from importlib.metadata import version as version_of
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mar_serve.api import OPERATIONS
from mar_serve.path_items import joined
from mar_serve.signatures import answer_content, request_content

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mar_core import Signature
    from mar_serve.api import Operation

__all__ = ["document", "model_document"]

# TorchServe's clients read 3.0.1.
OPENAPI = "3.0.1"
PARAMETER = re.compile(r"\{(\w+)\}")
PATH_TEXTS = {
    "model_name": "The model's name.",
    "model_version": "One of its versions; without it, the default.",
}
WITHOUT_BODY = {"GET", "OPTIONS", "DELETE"}


def document(
    listeners: Collection[str],
    models: Mapping[str, Signature] = MappingProxyType({}),
    more: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> dict[str, Any]:
    """The document of an address.

    Args:
        listeners: What the address answers: ``inference``, ``management``, ``metrics``.
        models: What models take and give, by their names, where that is known: each has a path of
            its own.
        more: What extensions say of the paths that they add.
    """
    found = _document(tuple(sorted(listeners)))
    paths = dict(found["paths"])
    if "inference" in listeners:
        for name, signature in models.items():
            paths |= model_document(name, signature=signature)["paths"]
    return {**found, "paths": joined(paths, more) if more else paths}


def model_document(
    name: str, version: str | None = None, *, signature: Signature | None = None
) -> dict[str, Any]:
    """How one model is asked: what ``OPTIONS /predictions/{model}`` answers.

    Args:
        name: The model's name.
        version: Its version; None where the default is meant.
        signature: What it takes and gives, where that is known.
    """
    ending = f"/{quote(version, safe='')}" if version else ""
    path = f"/predictions/{quote(name, safe='')}{ending}"
    wanted = next(operation for operation in OPERATIONS if operation.id == "predictions")
    called = wanted.id if signature is None else f"{wanted.id}_{name}"
    item = {
        method.lower(): _operation(wanted, method, f"{called}_{method.lower()}", "")
        for method in wanted.methods
    }
    for operation in item.values():
        _tell(operation, signature)
    return _shell({path: item}, title=f"{name}: predictions")


def _tell(operation: dict[str, Any], signature: Signature | None) -> None:
    """Say what a model takes and gives, where that is known."""
    taken, given = request_content(signature), answer_content(signature)
    if taken and "requestBody" in operation:
        operation["requestBody"] = {"required": True, "content": taken}
    if given:
        operation["responses"]["200"] = {"description": "The answer", "content": given}


@cache
def _document(listeners: tuple[str, ...]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    used: set[str] = set()
    for operation in OPERATIONS:
        if operation.listener in listeners:
            for path, method in _places(operation):
                name = _unique(operation.id, method, used)
                item = paths.setdefault(path, {})
                item[method.lower()] = _operation(operation, method, name, path)
    return _shell(paths, title=f"mar serve: {', '.join(listeners)}")


def _places(operation: Operation) -> Iterator[tuple[str, str]]:
    for path in operation.paths:
        for method in operation.methods:
            yield path, method


def _unique(name: str, method: str, used: set[str]) -> str:
    candidates = [name, f"{name}_{method.lower()}"]
    candidates += [f"{name}_version", f"{name}_version_{method.lower()}"]
    found = next(one for one in candidates if one not in used)
    used.add(found)
    return found


def _shell(paths: dict[str, Any], *, title: str) -> dict[str, Any]:
    return {
        "openapi": OPENAPI,
        "info": {
            "title": title,
            "description": "Model archives over HTTP, as TorchServe answers.",
            "version": version_of("mar-serve"),
        },
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # A token is asked for where the server listens beyond this machine.
        "security": [{}, {"token": []}],
    }


def _operation(operation: Operation, method: str, name: str, path: str) -> dict[str, Any]:
    parameters = [
        {
            "name": parameter,
            "in": "path",
            "required": True,
            "description": PATH_TEXTS[parameter],
            "schema": {"type": "string", "minLength": 1},
        }
        for parameter in PARAMETER.findall(path)
    ]
    parameters += [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.text,
            "schema": dict(parameter.schema),
        }
        for parameter in operation.query
    ]
    found: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "tags": [operation.listener],
        "parameters": parameters,
        "responses": {_status(code): _answer(code, a) for code, a in operation.answers.items()},
    }
    if operation.body is not None and method not in WITHOUT_BODY:
        found["requestBody"] = {"required": False, "content": dict(operation.body)}
    return found


def _status(code: int) -> str:
    return str(code) if code else "default"


def _answer(code: int, answer: str | Mapping[str, Any]) -> dict[str, Any]:
    text = HTTPStatus(code).phrase if code else "What the handler answers"
    if code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return {"description": f"{text}; the body is empty"}
    if isinstance(answer, str):
        schema = {"$ref": f"#/components/schemas/{answer}"}
        return {"description": text, "content": {"application/json": {"schema": schema}}}
    # Without a media type anything may come: a handler's answer has the type that it sets, or none.
    return {"description": text, "content": dict(answer)} if answer else {"description": text}


def _object(required: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **others}}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_TEXT, _NUMBER, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
_TENSORS = _list(_object({"name": _TEXT, "datatype": _TEXT, "shape": _list(_NUMBER)}))
_WORKER = _object(
    {"id": _TEXT, "startTime": _TEXT, "status": _TEXT, "pid": _NUMBER, "gpu": _FLAG},
    memoryUsage=_NUMBER,
    gpuUsage=_TEXT,
)
_DESCRIPTION = _object(
    {
        **dict.fromkeys(("modelName", "modelVersion", "modelUrl", "runtime"), _TEXT),
        **dict.fromkeys(("minWorkers", "maxWorkers", "batchSize", "maxBatchDelay"), _NUMBER),
        "loadedAtStartup": _FLAG,
        "workers": _list(_WORKER),
        "jobQueueStatus": _object({"remainingCapacity": _NUMBER, "pendingRequests": _NUMBER}),
    },
    customizedMetadata={},
)
_SCHEMAS: dict[str, Any] = {
    "Error": _object({"code": _NUMBER, "type": _TEXT, "message": _TEXT}),
    "Status": _object({"status": _TEXT}),
    "Readiness": _object({"name": _TEXT, "ready": {}}),
    "Server": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
    "Metadata": _object(
        {"name": _TEXT, "platform": _TEXT, "inputs": _TENSORS, "outputs": _TENSORS}
    ),
    "Document": _object({"openapi": _TEXT, "paths": {"type": "object"}}),
    "Descriptions": _list(_DESCRIPTION),
    "Models": _object(
        {"models": _list(_object({"modelName": _TEXT, "modelUrl": _TEXT}))}, nextPageToken=_TEXT
    ),
}
