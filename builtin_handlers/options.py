"""What `handler:` in model-config.yaml may say to a built-in handler, and what each of it means.

The options are those of the built-in handlers as they are. A class that inherits from one has code
of its own to say such things, and keys of its own under `handler:`.
"""

from __future__ import annotations

import difflib
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["OPTIONS", "Option", "options_of"]

logger = logging.getLogger(__name__)

_PACKAGE = "builtin_handlers."


@dataclass(frozen=True, slots=True)
class Option:
    """One key under `handler:`.

    Attributes:
        name: The key.
        takes: What its value may be, in words.
        default: What holds without it, in words.
        what: What it does.
        read: Makes the value of what YAML gave.

    Raises:
        ValueError: By ``read``, where the value is another.
    """

    name: str
    takes: str
    default: str
    what: str
    read: Callable[[Any], Any]


def options_of(handler: object, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options that a config gives to a built-in handler.

    Args:
        handler: The handler; where its class is not a built-in one, it has no options.
        config: The archive's model-config.yaml.

    Returns:
        Values by name, of the options that are given.

    Raises:
        ModelError: A value is not what it may be.
    """
    module = type(handler).__module__
    given = (config or {}).get("handler")
    if not module.startswith(_PACKAGE) or not isinstance(given, dict):
        return {}
    name = module.removeprefix(_PACKAGE)
    known = {option.name: option for option in OPTIONS.get(name, ())}
    _say_what_is_misspelt(name, given, known)
    return {key: _read(option, given[key]) for key, option in known.items() if key in given}


def _read(option: Option, value: Any) -> Any:
    try:
        return option.read(value)
    except ValueError:
        raise ModelError(
            f"model-config.yaml: handler.{option.name} is {value!r}, where {option.takes} is "
            "expected.",
            hint=f"It is {option.what}.",
        ) from None


def _say_what_is_misspelt(name: str, given: Mapping[Any, Any], known: Mapping[str, Any]) -> None:
    """A key that looks like an option and is none would have no effect, and nobody would know."""
    for key in given:
        near = difflib.get_close_matches(str(key).replace("_", ""), known, n=1, cutoff=0.8)
        if key not in known and near:
            message = "model-config.yaml: %s has no option %r; is %r meant?"
            logger.warning(message, name, key, near[0])


def _whole(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError
    return value


def _size(value: Any) -> int | tuple[int, int]:
    if isinstance(value, list):
        height, width = map(_whole, value)
        return height, width
    return _whole(value)


def _number(value: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError
    return float(value)


def _channels(value: Any) -> tuple[float, float, float]:
    red, green, blue = map(_number, value if isinstance(value, list) else [value] * 3)
    return red, green, blue


def _positive_channels(value: Any) -> tuple[float, float, float]:
    channels = _channels(value)
    if min(channels) <= 0:
        raise ValueError
    return channels


def _fraction(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError
    return number


def _output(value: Any) -> str:
    if value not in ("numbers", "png"):  # a list, for one, cannot be in a set
        raise ValueError
    return str(value)


def _decoder(value: Any) -> str:
    if value not in ("pillow", "torchcodec"):
        raise ValueError
    return str(value)


def _member(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _image_options(*, resize: str, size: str, mean: str, std: str) -> tuple[Option, ...]:
    sizes = "a whole number from 1, or a list of height and width"
    channels = "a number, or a list of three"
    return (
        Option(
            "size",
            sizes,
            size,
            "the size of the picture that the network gets: one number crops a square from the "
            "centre, height and width are what the picture is resized to",
            _size,
        ),
        Option(
            "resize",
            sizes,
            resize,
            "what the picture is resized to before it is cropped: one number is its shorter side",
            _size,
        ),
        Option("mean", channels, mean, "what is subtracted from red, green and blue", _channels),
        Option(
            "std",
            f"{channels}, above 0",
            std,
            "what red, green and blue are divided by",
            _positive_channels,
        ),
    )


def _as_given(value: Any) -> Any:
    """For what ``BaseHandler`` itself reads, and checks."""
    return value


_FLAG = "`true` or `false`"
_MODEL = (
    Option(
        "dtype",
        "`bfloat16`, `float16` or `float32`",
        "as the weights are",
        "the dtype that the network computes in; what goes in is turned into it, and what comes "
        "out into float32",
        _as_given,
    ),
    Option(
        "channels_last",
        _FLAG,
        "`false`",
        "whether pictures and weights have their channels last in memory, which convolutions are "
        "faster with",
        _as_given,
    ),
    Option(
        "cuda_graphs",
        _FLAG,
        "`false`",
        "whether, on CUDA, the network's work is recorded once for each shape of a batch and "
        "played from then on",
        _as_given,
    ),
)
_DECODER = Option(
    "decoder",
    "`pillow` or `torchcodec`",
    "`pillow`",
    "what decodes JPEGs; torchcodec takes those of a batch together, on the model's device, and "
    "they are resized there",
    _decoder,
)
_IMAGENET = _image_options(
    resize="256, and 256/224 of `size` where that is given",
    size="224",
    mean="0.485, 0.456, 0.406",
    std="0.229, 0.224, 0.225",
)
_AS_IT_IS = _image_options(
    resize="none, and 256/224 of `size` where that is given", size="none", mean="0", std="1"
)
_VOCABULARY = Option(
    "vocabulary",
    "the name of a member",
    "the first of the usual names that is there",
    "the member that holds the vocabulary",
    _member,
)
OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "base_handler": _MODEL,
    "vision_handler": (*_AS_IT_IS, _DECODER, *_MODEL),
    "image_classifier": (
        *_IMAGENET,
        Option("topk", "a whole number from 1", "5", "how many classes an answer holds", _whole),
        _DECODER,
        *_MODEL,
    ),
    "image_segmenter": (
        *_IMAGENET,
        Option(
            "output",
            "`numbers` or `png`",
            "`numbers`",
            "what an answer is: numbers for each pixel, or a picture of the classes",
            _output,
        ),
        _DECODER,
        *_MODEL,
    ),
    "object_detector": (
        Option(
            "threshold",
            "a number from 0 to 1",
            "0.5",
            "the lowest score that is reported",
            _fraction,
        ),
        _DECODER,
        *_MODEL,
    ),
    "text_handler": (_VOCABULARY,),
    "text_classifier": (_VOCABULARY,),
    "densenet_handler": _MODEL,
}
