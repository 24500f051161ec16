"""What `handler:` in model-config.yaml says to a handler: one reader for all that have options."""

from __future__ import annotations

import logging
import math
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

__all__ = ["MODEL_OPTIONS", "HandlerOption", "handler_options"]

logger = logging.getLogger(__name__)

_SECTION = "handler"
_TWO = 2
_reprs = reprlib.Repr()
_reprs.maxstring = _reprs.maxother = 80


@dataclass(frozen=True, slots=True)
class HandlerOption:
    """One key under `handler:`, and what it may be.

    Attributes:
        takes: What its value may be, in words: ``a whole number from 1``.
        read: Makes the value of what YAML gave; raises ``ValueError`` where it is another.
        what: What it does, in words.
        default: What holds without it, in words.
    """

    takes: str
    read: Callable[[Any], Any]
    what: str = ""
    default: str = ""

    @classmethod
    def whole(cls, least: int = 1, *, what: str = "", default: str = "") -> HandlerOption:
        """A whole number.

        Args:
            least: The least that it may be.
            what: What it does.
            default: What holds without it.
        """

        def read(value: Any) -> int:
            if type(value) is not int or value < least:
                raise ValueError
            return value

        return cls(f"a whole number from {least}", read, what, default)

    @classmethod
    def number(
        cls, least: float, most: float | None = None, *, what: str = "", default: str = ""
    ) -> HandlerOption:
        """A number in a range, as float.

        Args:
            least: The least that it may be.
            most: The most that it may be; None for no limit.
            what: What it does.
            default: What holds without it.
        """

        def read(value: Any) -> float:
            if type(value) not in {int, float} or not math.isfinite(value):
                raise ValueError
            if value < least or (most is not None and value > most):
                raise ValueError
            return float(value)

        to = "" if most is None else f" to {most:g}"
        return cls(f"a number from {least:g}{to}", read, what, default)

    @classmethod
    def flag(cls, *, what: str = "", default: str = "false") -> HandlerOption:
        """True or false.

        Args:
            what: What it does.
            default: What holds without it.
        """

        def read(value: Any) -> bool:
            if not isinstance(value, bool):
                raise ValueError  # noqa: TRY004 - what is wrong is the value
            return value

        return cls("true or false", read, what, default)

    @classmethod
    def text(
        cls, takes: str = "a text", *, empty: bool = False, what: str = "", default: str = ""
    ) -> HandlerOption:
        """A text.

        Args:
            takes: What it is, in words: ``the name of a member``.
            empty: Whether it may be empty.
            what: What it does.
            default: What holds without it.
        """

        def read(value: Any) -> str:
            if not isinstance(value, str) or not (value or empty):
                raise ValueError
            value.encode()  # half of a character, a lone surrogate, is a ValueError, too
            return value

        return cls(takes, read, what, default)

    @classmethod
    def one_of(cls, *names: str, what: str = "", default: str = "") -> HandlerOption:
        """One of several words.

        Args:
            *names: The words.
            what: What it does.
            default: What holds without it.
        """

        def read(value: Any) -> str:
            if value not in names:  # not a set: what YAML gave may be a list
                raise ValueError
            return str(value)

        listed = " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        return cls(f"one of {listed}" if len(names) > _TWO else listed, read, what, default)

    @classmethod
    def mapping(cls, *, what: str = "", default: str = "") -> HandlerOption:
        """A mapping, whatever it holds.

        Args:
            what: What it does.
            default: What holds without it.
        """

        def read(value: Any) -> dict[Any, Any]:
            if not isinstance(value, dict):
                raise ValueError  # noqa: TRY004 - likewise
            return value

        return cls("a mapping", read, what, default)

    def value(self, name: str, given: Any) -> Any:
        """The value of what a config gives.

        Args:
            name: The option's name.
            given: What YAML gave.

        Raises:
            ModelError: It is not what it may be.
        """
        try:
            return self.read(given)
        except (ValueError, TypeError):
            raise ModelError(
                f"model-config.yaml: handler.{name} is {_reprs.repr(given)}, where {self.takes} is "
                "expected.",
                hint=f"It is {self.what}." if self.what else None,
            ) from None


def handler_options(
    config: Mapping[str, Any] | None,
    options: Mapping[str, HandlerOption],
    *,
    handler: str,
    unknown: Literal["refuse", "warn", "ignore"] = "refuse",
) -> dict[str, Any]:
    """The options that a config gives to a handler.

    Args:
        config: The archive's model-config.yaml.
        options: What may be said, by name. ``profile`` may be said to every handler.
        handler: What the handler is called.
        unknown: What to do with other keys. A handler that people used before it had options warns
            of those that look like one of them; a class that others inherit from ignores what is
            theirs.

    Returns:
        Values by name, of the options that are given.

    Raises:
        ModelError: `handler:` is no mapping, a key is not known, or a value is not what it may be.
    """
    given = (config or {}).get(_SECTION)
    if given is None:
        return {}
    if not isinstance(given, dict):
        if unknown != "refuse":
            return {}
        raise ModelError(
            f"model-config.yaml: handler is {_reprs.repr(given)}, where a mapping is expected."
        )
    known = {**_COMMON, **options}
    for name in given:
        if name not in known and unknown != "ignore":
            _say_unknown(str(name), handler, known, refused=unknown == "refuse")
    return {
        name: option.value(name, given[name]) for name, option in options.items() if name in given
    }


def _say_unknown(
    name: str, handler: str, known: Mapping[str, HandlerOption], *, refused: bool
) -> None:
    """A key that no handler reads would have no effect, and nobody would know."""
    meant = did_you_mean(name, known)
    sentence = f"model-config.yaml: {handler} has no option {_reprs.repr(name)}"
    if refused:
        raise ModelError(f"{sentence}{meant or '.'}", hint=f"Its options are {', '.join(known)}.")
    if meant:
        logger.warning("%s%s", sentence, meant)


# BaseHandler reads it for everybody.
_COMMON = {"profile": HandlerOption.flag()}
MODEL_OPTIONS: Mapping[str, HandlerOption] = {
    "dtype": HandlerOption.one_of(
        "bfloat16", "float16", "float32",
        default="as the weights are",
        what="the dtype that the network computes in; what goes in is turned into it, and what "
        "comes out into float32",
    ),
    "channels_last": HandlerOption.flag(
        what="whether pictures and weights have their channels last in memory, which convolutions "
        "are faster with",
    ),
    "cuda_graphs": HandlerOption.flag(
        what="whether, on CUDA, the network's work is recorded once for each shape of a batch and "
        "played from then on",
    ),
}  # fmt: skip
