"""What `handler:` in model-config.yaml may say to a built-in handler, and what each of it means.

The options are those of the built-in handlers as they are. A class that inherits from one has code
of its own to say such things, and keys of its own under `handler:`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mar_core import MODEL_OPTIONS, HandlerOption, handler_options

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPTIONS", "OUTPUT", "VOCABULARY", "options_of"]

_PACKAGE = "builtin_handlers."


def options_of(handler: object, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options that a config gives to a built-in handler.

    A key that is none is a warning: archives from TorchServe's days may have any.

    Args:
        handler: The handler; where its class is not a built-in one, it has no options.
        config: The archive's model-config.yaml.

    Returns:
        Values by name, of the options that are given.

    Raises:
        ModelError: A value is not what it may be.
    """
    module = type(handler).__module__
    name = module.removeprefix(_PACKAGE)
    if not module.startswith(_PACKAGE) or name not in OPTIONS:
        return {}
    return handler_options(config, OPTIONS[name], handler=name, unknown="warn")


_whole, _number = HandlerOption.whole().read, HandlerOption.number(-math.inf).read


def _size(value: Any) -> int | tuple[int, int]:
    if isinstance(value, list):
        height, width = map(_whole, value)
        return height, width
    size: int = _whole(value)
    return size


def _channels(value: Any) -> tuple[float, float, float]:
    red, green, blue = map(_number, value if isinstance(value, list) else [value] * 3)
    return red, green, blue


def _positive_channels(value: Any) -> tuple[float, float, float]:
    channels = _channels(value)
    if min(channels) <= 0:
        raise ValueError
    return channels


def _image_options(*, resize: str, size: str, mean: str, std: str) -> dict[str, HandlerOption]:
    sizes = "a whole number from 1, or a list of height and width"
    channels = "a number, or a list of three"
    return {
        "size": HandlerOption(
            sizes,
            _size,
            "the size of the picture that the network gets: one number crops a square from the "
            "centre, height and width are what the picture is resized to",
            size,
        ),
        "resize": HandlerOption(
            sizes,
            _size,
            "what the picture is resized to before it is cropped: one number is its shorter side",
            resize,
        ),
        "mean": HandlerOption(
            channels, _channels, "what is subtracted from red, green and blue", mean
        ),
        "std": HandlerOption(
            f"{channels}, above 0",
            _positive_channels,
            "what red, green and blue are divided by",
            std,
        ),
    }


_DECODER = {
    "decoder": HandlerOption.one_of(
        "pillow",
        "torchcodec",
        default="pillow",
        what="what decodes JPEGs; torchcodec takes those of a batch together, on the model's "
        "device, and they are resized there",
    )
}
_IMAGENET = _image_options(
    resize="256, and 256/224 of `size` where that is given",
    size="224",
    mean="0.485, 0.456, 0.406",
    std="0.229, 0.224, 0.225",
)
_AS_IT_IS = _image_options(
    resize="none, and 256/224 of `size` where that is given", size="none", mean="0", std="1"
)
VOCABULARY = {
    "vocabulary": HandlerOption.text(
        "the name of a member",
        default="the first of the usual names that is there",
        what="the member that holds the vocabulary",
    )
}
OUTPUT = {
    "output": HandlerOption.one_of(
        "numbers",
        "png",
        default="numbers",
        what="what an answer is: numbers for each pixel, or a picture of the classes",
    )
}
OPTIONS: Mapping[str, Mapping[str, HandlerOption]] = {
    "base_handler": MODEL_OPTIONS,
    "vision_handler": {**_AS_IT_IS, **_DECODER, **MODEL_OPTIONS},
    "image_classifier": {
        **_IMAGENET,
        "topk": HandlerOption.whole(default="5", what="how many classes an answer holds"),
        **_DECODER,
        **MODEL_OPTIONS,
    },
    "image_segmenter": {**_IMAGENET, **OUTPUT, **_DECODER, **MODEL_OPTIONS},
    "object_detector": {
        "threshold": HandlerOption.number(
            0, 1, default="0.5", what="the lowest score that is reported"
        ),
        **_DECODER,
        **MODEL_OPTIONS,
    },
    "text_handler": VOCABULARY,
    "text_classifier": VOCABULARY,
    "densenet_handler": MODEL_OPTIONS,
}
