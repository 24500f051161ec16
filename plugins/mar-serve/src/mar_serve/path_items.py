"""OpenAPI path items that extensions give for their paths, and whether they are sound."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["METHODS", "as_described", "fault_of", "joined"]

METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
OTHERS = frozenset({"summary", "description", "parameters", "servers"})
PARAMETER = re.compile(r"\{(\w+)\}")
CONVERTOR = re.compile(r"\{(\w+):\w+\}")


def as_described(route: str) -> str:
    """A route's path as OpenAPI writes it: ``{rest:path}`` is ``{rest}`` there."""
    return CONVERTOR.sub(r"{\1}", route)


def fault_of(items: Any, routes: Collection[str]) -> str | None:
    """What is wrong with an extension's path items, in words that follow "it offers"; or None.

    Args:
        items: What its ``openapi`` gave.
        routes: The paths of its routes, as OpenAPI writes them.
    """
    if not isinstance(items, Mapping):
        return f"OpenAPI path items as {type(items).__name__}, not as a mapping by path"
    for path, item in items.items():
        if path not in routes:
            return f"an OpenAPI path item for {path!r}, which is none of its routes"
        fault = _fault_of_item(path, item)
        if fault is not None:
            return f"an OpenAPI path item for {path}, in which {fault}"
    try:
        json.dumps(items)
    except (TypeError, ValueError, RecursionError) as error:
        return f"OpenAPI path items that are no JSON: {error}"
    return None


def _fault_of_item(path: str, item: Any) -> str | None:
    if not isinstance(item, Mapping) or not METHODS & item.keys():
        return "no method is described"
    for name, operation in item.items():
        if name in METHODS:
            parameters = [*_listed(item), *_listed(operation)]
            fault = _fault_of_operation(operation, _in_path(parameters), PARAMETER.findall(path))
            if fault is not None:
                return f"{name} {fault}"
        elif name not in OTHERS and not str(name).startswith("x-"):
            return f"{name!r} is no method"
    return None


def _fault_of_operation(operation: Any, told: set[str], wanted: list[str]) -> str | None:
    if not isinstance(operation, Mapping):
        return "is no operation"
    responses = operation.get("responses")
    if not isinstance(responses, Mapping) or not responses:
        return "has no responses"
    for status, answer in responses.items():
        if not isinstance(answer, Mapping) or not {"description", "$ref"} & answer.keys():
            return f"has a response {status} without a description"
    missing = [name for name in wanted if name not in told]
    return f"has no parameter {missing[0]!r}, which its path has" if missing else None


def _listed(holder: Any) -> list[Any]:
    found = holder.get("parameters") if isinstance(holder, Mapping) else None
    return found if isinstance(found, list) else []


def _in_path(parameters: list[Any]) -> set[str]:
    return {
        str(one.get("name"))
        for one in parameters
        if isinstance(one, Mapping) and one.get("in") == "path"
    }


def joined(paths: Mapping[str, Any], more: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A document's paths with more of them; a name of an operation that is taken is left out."""
    used = {one["operationId"] for _, one in _operations(paths) if "operationId" in one}
    found = dict(paths)
    for path, item in more.items():
        found[path] = added = dict(item)
        for method, operation in _operations({path: item}):
            name = operation.get("operationId")
            if name in used:
                added[method] = {key: operation[key] for key in operation if key != "operationId"}
            elif name is not None:
                used.add(name)
    return found


def _operations(paths: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for item in paths.values():
        for name, operation in item.items():
            if name in METHODS:
                yield name, operation
