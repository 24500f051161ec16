"""The paths of workflows as OpenAPI describes them."""

from __future__ import annotations

from typing import Any

__all__ = ["PATH_ITEMS"]

_TEXT, _NUMBER = {"type": "string"}, {"type": "integer"}
_NAME = {"name": "workflow", "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}
_BODY = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}


def _query(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _operation(
    name: str, tag: str, summary: str, *errors: int, schema: dict[str, Any] | None = None
) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answer = {"application/json": {"schema": schema or {}}}
    told = {str(status): {"description": "An error", "content": error} for status in errors}
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": {"200": {"description": "The answer", "content": answer}, **told},
    }


def _predicting(method: str) -> dict[str, Any]:
    summary = "Ask a workflow."
    errors = (400, 404, 408, 413, 500, 503, 507)
    found = _operation(f"workflow_predictions_{method}", "inference", summary, *errors)
    return found if method == "get" else {**found, "requestBody": _BODY}


_STATUS = {"$ref": "#/components/schemas/Status"}
_REGISTER: dict[str, Any] = {
    **_operation(
        "register_workflow", "management", "Register a workflow, and its models.",
        400, 403, 404, 409, 413, 500, 507, schema=_STATUS,
    ),
    "parameters": [
        {**_query("url", _TEXT, "A .war in the store, or an allowed URL."), "required": True},
        _query("workflow_name", _TEXT, "In place of the archive's own name."),
    ],
}  # fmt: skip
_LIST: dict[str, Any] = {
    **_operation("list_workflows", "management", "The workflows, a page at a time.", 400),
    "parameters": [
        _query("limit", _NUMBER, "How many; 100 at most."),
        _query("next_page_token", _NUMBER, "Where to go on."),
    ],
}
_DESCRIBE = _operation(
    "describe_workflow", "management", "Its models and how they hang together.", 400, 404
)
_UNREGISTER = _operation(
    "unregister_workflow", "management", "End it, and its models.", 400, 404, 500, schema=_STATUS
)
PATH_ITEMS: dict[str, Any] = {
    "/wfpredict/{workflow}": {
        "parameters": [_NAME],
        **{method: _predicting(method) for method in ("post", "put", "get")},
    },
    "/workflows": {"get": _LIST, "post": _REGISTER},
    "/workflows/{workflow}": {"parameters": [_NAME], "get": _DESCRIBE, "delete": _UNREGISTER},
}
