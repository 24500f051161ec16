"""What ``handler:`` in model-config.yaml may say to the handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core import MODEL_OPTIONS, HandlerOption, handler_options

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPTIONS", "read_options"]

OPTIONS: Mapping[str, HandlerOption] = {
    "architecture": HandlerOption.text("the name of a model of timm's"),
    "num_classes": HandlerOption.whole(0),
    "model_args": HandlerOption.mapping(),
    "topk": HandlerOption.whole(),
    "output": HandlerOption.one_of("classes", "features"),
    "activation": HandlerOption.one_of("softmax", "sigmoid"),
    **MODEL_OPTIONS,
}


def read_options(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a config says, by name.

    Args:
        config: The archive's model-config.yaml.

    Raises:
        ModelError: It says something that the handler does not know, or a value is not what it may
            be.
    """
    return handler_options(config, OPTIONS, handler="timm")
