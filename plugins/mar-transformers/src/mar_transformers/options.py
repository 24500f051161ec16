"""What `handler:` in model-config.yaml says to the handler, read once and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mar_core import HandlerOption, handler_options

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPTIONS", "OUTPUTS", "Options", "read_options"]

OUTPUTS = ("png", "numbers", "segments")


def _name_or_map(value: Any) -> Any:
    if not isinstance(value, (str, dict)) or not value:
        raise ValueError
    return value


OPTIONS: Mapping[str, HandlerOption] = {
    "task": HandlerOption.text("the name of a task"),
    "dtype": HandlerOption.text("auto, or the name of a dtype such as bfloat16"),
    "device_map": HandlerOption("a name, or modules and their devices", _name_or_map),
    "attn_implementation": HandlerOption.text("a name such as sdpa"),
    "trust_remote_code": HandlerOption.flag(),
    "stream": HandlerOption.flag(),
    "output": HandlerOption.one_of(*OUTPUTS),
    "parameters": HandlerOption.mapping(),
}


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
    """

    task: str | None = None
    dtype: str = "auto"
    device_map: str | dict[str, Any] | None = None
    attn_implementation: str | None = None
    trust_remote_code: bool = False
    stream: bool = False
    output: str = "png"
    parameters: dict[str, Any] = field(default_factory=dict)


def read_options(config: Mapping[str, Any] | None) -> Options:
    """Read the options of a model-config.yaml.

    Raises:
        ModelError: A key is not known, or its value is not what it may be.
    """
    return Options(**handler_options(config, OPTIONS, handler="transformers"))
