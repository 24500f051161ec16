"""What ``handler:`` in model-config.yaml and a request may say, and how it is read."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from mar_core import ModelError, bad_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Option", "as_text", "read_config", "read_parameters"]

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
TASKS = ("query", "document")
DTYPES = ("auto", "float32", "float16", "bfloat16")
ACTIVATIONS = ("sigmoid", "identity")


class Option(NamedTuple):
    """Something that can be said.

    Attributes:
        takes: What its value may be, in words.
        read: Makes the value of what was given; raises ``ValueError`` where it is another.
        asked: Whether a request may say it, too.
    """

    takes: str
    read: Callable[[Any], Any]
    asked: bool = False


def read_config(options: Mapping[str, Option], config: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a config says under ``handler:``.

    Args:
        options: What can be said.
        config: The archive's model-config.yaml.

    Raises:
        ModelError: It says something else, or a value is not what it may be.
    """
    given = (config or {}).get("handler") or {}
    if not isinstance(given, dict):
        raise ModelError(f"model-config.yaml: handler is {given!r}, where a mapping is expected.")
    found = {}
    for name, value in given.items():
        if name == "profile":  # BaseHandler's
            continue
        if name not in options:
            raise ModelError(f"model-config.yaml: {_unknown(str(name), options)}.")
        try:
            found[name] = options[name].read(value)
        except ValueError:
            raise ModelError(
                f"model-config.yaml: handler.{name} is {value!r}, where {options[name].takes} is "
                "expected."
            ) from None
    return found


def read_parameters(options: Mapping[str, Option], fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says beside its texts.

    Args:
        options: What can be said.
        fields: The request's fields. Those that are no options are left alone, as a table has
            columns of its own; under ``parameters`` there is nothing else.

    Raises:
        PredictionException: A value is not what it may be, or a parameter is not known.
    """
    known = {name: option for name, option in options.items() if option.asked}
    nested = fields.get("parameters")
    if nested is not None:
        if not isinstance(nested, dict):
            raise bad_item(f"parameters is {nested!r}, where a mapping is expected")
        for name in nested:
            if name not in known:
                raise bad_item(_unknown(str(name), known))
        fields = {**fields, **nested}
    found = {}
    for name, option in known.items():
        value = as_text(fields.get(name))
        if value is not None:
            try:
                found[name] = option.read(value)
            except ValueError:
                raise bad_item(f"{name} is {value!r}, where {option.takes} is expected") from None
    return found


def as_text(value: Any) -> Any:
    """Bytes of a form or a body as text; anything else as it is.

    Raises:
        PredictionException: They are no UTF-8.
    """
    if not isinstance(value, (bytes, bytearray, memoryview)):
        return value
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise bad_item("the text is not UTF-8") from None


def _unknown(name: str, options: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(options), n=1)
    meant = f"; is {near[0]!r} meant?" if near else f"; there are {', '.join(options)}"
    return f"there is no option {name!r}{meant}"


def _whole(value: Any) -> int:
    """A whole number from 1; a form has it as text."""
    number = int(value) if isinstance(value, str) else value
    if type(number) is not int or number < 1:
        raise ValueError
    return number


def _flag(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - what is wrong is the value; the caller says so
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - likewise
    value.encode()  # half of a character, a lone surrogate, is a ValueError, too
    return value


def _one_of(*names: str, asked: bool = False) -> Option:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    listed = f"{', '.join(names[:-1])} or {names[-1]}"
    return Option(f"one of {listed}", read, asked)


_WHOLE, _FLAG = "a whole number from 1", "true or false"
_LOADING = {
    "batch_size": Option(_WHOLE, _whole),
    "max_length": Option(_WHOLE, _whole),
    "dtype": _one_of(*DTYPES),
    "attn_implementation": Option("a name", _string),
    "trust_remote_code": Option(_FLAG, _flag),
    "prompt": Option("a text", _string, asked=True),
    "prompt_name": Option("a name", _string, asked=True),
    "usage": Option(_FLAG, _flag, asked=True),
}
EMBEDDING = {
    **_LOADING,
    "task": _one_of(*TASKS, asked=True),
    "normalize": Option(_FLAG, _flag, asked=True),
    "dimensions": Option(_WHOLE, _whole, asked=True),
    "precision": _one_of(*PRECISIONS, asked=True),
    "ranges": Option("the name of a member", _string),
}
RERANK = {
    **_LOADING,
    "activation": _one_of(*ACTIVATIONS),
    "top_k": Option(_WHOLE, _whole, asked=True),
    "return_documents": Option(_FLAG, _flag, asked=True),
}
