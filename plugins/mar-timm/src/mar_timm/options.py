"""What ``handler:`` in model-config.yaml may say to the handler."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["read_options"]

# BaseHandler reads these.
OTHERS = ("profile", "dtype", "channels_last", "cuda_graphs")


def read_options(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a config says, by name.

    Args:
        config: The archive's model-config.yaml.

    Raises:
        ModelError: It says something that the handler does not know, or a value is not what it may
            be.
    """
    given = (config or {}).get("handler") or {}
    if not isinstance(given, dict):
        raise ModelError(f"model-config.yaml: handler is {given!r}, where a mapping is expected.")
    found = {}
    for name, value in given.items():
        if name in OTHERS:
            continue
        if name not in OPTIONS:
            near = difflib.get_close_matches(str(name), [*OPTIONS, *OTHERS], n=1)
            meant = f"is {near[0]!r} meant?" if near else f"there are {', '.join(OPTIONS)}."
            raise ModelError(f"model-config.yaml: timm has no option {name!r}; {meant}")
        takes, fits = OPTIONS[name]
        if not fits(value):
            raise ModelError(
                f"model-config.yaml: handler.{name} is {value!r}, where {takes} is expected."
            )
        found[name] = value
    return found


def _is_whole(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= least


OPTIONS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "architecture": ("the name of a model of timm's", lambda value: isinstance(value, str)),
    "num_classes": ("a whole number from 0", _is_whole(0)),
    "model_args": ("a mapping", lambda value: isinstance(value, dict)),
    "topk": ("a whole number from 1", _is_whole(1)),
    "output": ("classes or features", lambda value: value in ("classes", "features")),
    "activation": ("softmax or sigmoid", lambda value: value in ("softmax", "sigmoid")),
}
