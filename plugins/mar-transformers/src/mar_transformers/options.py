"""What `handler:` in model-config.yaml says to the handler, read once and checked."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OUTPUTS", "Options", "read_options"]

OUTPUTS = ("png", "numbers", "segments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The keys under `handler:`.

    Attributes:
        task: The task; None takes the one that the model's class is for.
        dtype: The type that the weights are loaded in: `auto` is the one that they are saved in.
        device_map: How accelerate lays a model over devices: `auto`, or modules and devices.
        attn_implementation: `eager`, `sdpa`, `flash_attention_2`, …
        trust_remote_code: Whether the model's own Python files run.
        stream: Whether generated text is sent as it comes where a request does not say.
        output: What a mask or a depth is: `png`, `numbers`, or `segments`.
        parameters: What every request asks for that does not say otherwise.
        profile: Whether to record how long each method takes.
    """

    task: str | None = None
    dtype: str = "auto"
    device_map: str | dict[str, Any] | None = None
    attn_implementation: str | None = None
    trust_remote_code: bool = False
    stream: bool = False
    output: str = "png"
    parameters: dict[str, Any] = field(default_factory=dict)
    profile: bool = False


def read_options(config: Mapping[str, Any] | None) -> Options:
    """Read the options of a model-config.yaml.

    Raises:
        ModelError: A key is not known, or its value is not what it may be.
    """
    given = (config or {}).get("handler")
    if given is None:
        return Options()
    if not isinstance(given, dict):
        raise ModelError(
            f"model-config.yaml: handler is {given!r}, where keys are expected.",
            hint="Write `handler: {task: text-classification}`.",
        )
    known = [one.name for one in fields(Options)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise ModelError(
                f"model-config.yaml: the handler transformers has no option {key!r}"
                f"{f'; is {near[0]!r} meant?' if near else '.'}",
                hint=f"Its options are {', '.join(known)}.",
            )
    return _checked(given)


def _checked(given: Mapping[str, Any]) -> Options:
    for name in ("task", "dtype", "attn_implementation"):
        _must(given, name, str, "a name")
    for name in ("trust_remote_code", "stream", "profile"):
        _must(given, name, bool, "true or false")
    _must(given, "device_map", (str, dict), "a name, or modules and their devices")
    _must(given, "parameters", dict, "a mapping")
    if given.get("output", OUTPUTS[0]) not in OUTPUTS:
        raise _wrong("output", given["output"], f"one of {', '.join(OUTPUTS)}")
    return Options(**{name: value for name, value in given.items() if value is not None})


def _must(given: Mapping[str, Any], name: str, kind: Any, words: str) -> None:
    value = given.get(name)
    if value is not None and not isinstance(value, kind):
        raise _wrong(name, value, words)


def _wrong(name: str, value: object, words: str) -> ModelError:
    return ModelError(f"model-config.yaml: handler.{name} is {value!r}, where {words} is expected.")
