"""What a workflow's YAML says: its nodes, what they feed, and with which numbers."""

from __future__ import annotations

import graphlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mar_core import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Node", "Specification", "read_specification"]

# TorchServe's key, ours, and TorchServe's default.
_NUMBERS = {
    "min-workers": ("min_workers", 1),
    "max-workers": ("max_workers", 1),
    "batch-size": ("batch_size", 1),
    "max-batch-delay": ("max_batch_delay", 50),
    "retry-attempts": ("retry_attempts", 1),
    "timeout-ms": ("timeout_ms", 10_000),
}
MOST_NODES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A model or a function.

    Attributes:
        name: Its name in the DAG.
        url: Where the model's archive is; None for a function of the handler file.
        min_workers: Workers that are kept running.
        max_workers: Workers that load may bring it to.
        batch_size: Requests in a batch.
        max_batch_delay: Milliseconds that a request may wait for others.
        retry_attempts: How often a failed call is made again.
        timeout_ms: Milliseconds that one call may take.
    """

    name: str
    url: str | None = None
    min_workers: int = 1
    max_workers: int = 1
    batch_size: int = 1
    max_batch_delay: int = 50
    retry_attempts: int = 1
    timeout_ms: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """A workflow.

    Attributes:
        nodes: By name, in the order of the file.
        feeds: Which nodes each node feeds, in the order of the file.
        numbers: What holds for every model, under TorchServe's keys.
    """

    nodes: dict[str, Node]
    feeds: dict[str, list[str]]
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def predecessors(self) -> dict[str, list[str]]:
        """Which nodes feed each node."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for name, following in self.feeds.items():
            for other in following:
                found[other].append(name)
        return found

    @property
    def text(self) -> str:
        """The DAG as TorchServe's management API writes it."""
        inner = ", ".join(f"{name}=[{', '.join(fed)}]" for name, fed in self.feeds.items())
        return f"{{{inner}}}"


def read_specification(text: str, *, file: str, has_functions: bool) -> Specification:
    """Read a specification.

    Args:
        text: The YAML.
        file: The file's name, for errors.
        has_functions: Whether the archive has a handler file, whose functions may be nodes.

    Raises:
        ArchiveError: It is not YAML, or not a DAG of models and functions.
    """
    import yaml

    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise ArchiveError(f"{file} is not YAML: {line}.") from error
    if not isinstance(document, dict):
        raise ArchiveError(f"{file} must be a mapping with `models` and `dag`.")
    models = _mapping(document, "models", file)
    feeds = _feeds(_mapping(document, "dag", file), file)
    numbers = {key: _integer(models.get(key, default), key, file)
               for key, (_, default) in _NUMBERS.items()}  # fmt: skip
    named = {name: state for name, state in models.items() if name not in _NUMBERS}
    nodes = {
        name: _node(name, named, numbers, file=file, has_functions=has_functions)
        for name in dict.fromkeys([*feeds, *(one for fed in feeds.values() for one in fed)])
    }
    if len(nodes) > MOST_NODES:
        raise ArchiveError(f"{file} has {len(nodes)} nodes; at most {MOST_NODES} are possible.")
    found = Specification(nodes=nodes, feeds=feeds, numbers=numbers)
    _check(found, file)
    return found


def _mapping(document: Mapping[Any, Any], key: str, file: str) -> dict[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict) or not value or not all(isinstance(name, str) for name in value):
        raise ArchiveError(f"{file} must have a mapping `{key}` with string keys.")
    return value


def _feeds(dag: Mapping[str, Any], file: str) -> dict[str, list[str]]:
    feeds = {}
    for name, following in dag.items():
        listed = following if isinstance(following, list) else [following]
        names = [one for one in listed if one is not None and one != ""]
        if not all(isinstance(one, str) for one in names):
            raise ArchiveError(f"{file}: dag.{name} must be a list of nodes.")
        feeds[name] = list(dict.fromkeys(one.strip() for one in names))
    return feeds


def _node(
    name: str, models: Mapping[str, Any], numbers: Mapping[str, int], *, file: str,
    has_functions: bool,
) -> Node:  # fmt: skip
    if name not in models:
        if not has_functions:
            raise ArchiveError(
                f"{file}: the node {name} is no model, and the archive has no handler file whose "
                "function it could be."
            )
        # TorchServe gives functions one worker and no batches, whatever holds for models.
        return Node(
            name=name, max_batch_delay=0, retry_attempts=numbers["retry-attempts"],
            timeout_ms=numbers["timeout-ms"],
        )  # fmt: skip
    state = models[name]
    if not isinstance(state, dict) or not isinstance(state.get("url"), str):
        raise ArchiveError(f"{file}: models.{name} must be a mapping with a `url`.")
    own = {
        ours: _integer(state.get(key, numbers[key]), f"models.{name}.{key}", file)
        for key, (ours, _) in _NUMBERS.items()
    }
    return Node(name=name, url=state["url"], **own)


def _integer(value: Any, key: str, file: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise ArchiveError(f"{file}: {key} must be an integer, not {value!r}.")
    return value


def _check(found: Specification, file: str) -> None:
    starts = [name for name, before in found.predecessors.items() if not before]
    try:
        graphlib.TopologicalSorter(found.predecessors).prepare()
    except graphlib.CycleError as error:
        circle = " → ".join(map(str, error.args[1]))
        raise ArchiveError(f"{file}: dag goes in a circle: {circle}.") from error
    if len(starts) != 1:
        raise ArchiveError(
            f"{file}: dag must have one node that nothing feeds, not {len(starts)}: "
            f"{', '.join(starts)}."
        )
