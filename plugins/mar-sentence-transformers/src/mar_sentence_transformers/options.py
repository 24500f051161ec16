"""What ``handler:`` in model-config.yaml and a request may say, and how it is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mar_core import HandlerOption, bad_item, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EMBEDDING", "RERANK", "read_parameters"]

_LOADING = {
    "batch_size": HandlerOption.whole(),
    "max_length": HandlerOption.whole(),
    "dtype": HandlerOption.one_of("auto", "float32", "float16", "bfloat16"),
    "attn_implementation": HandlerOption.text("a name such as sdpa"),
    "trust_remote_code": HandlerOption.flag(),
    "prompt": HandlerOption.text(empty=True),
    "prompt_name": HandlerOption.text("a name"),
    "usage": HandlerOption.flag(),
}
EMBEDDING: Mapping[str, HandlerOption] = {
    **_LOADING,
    "task": HandlerOption.one_of("query", "document"),
    "normalize": HandlerOption.flag(),
    "dimensions": HandlerOption.whole(),
    "precision": HandlerOption.one_of("float32", "int8", "uint8", "binary", "ubinary"),
    "ranges": HandlerOption.text("the name of a member"),
}
RERANK: Mapping[str, HandlerOption] = {
    **_LOADING,
    "activation": HandlerOption.one_of("sigmoid", "identity"),
    "top_k": HandlerOption.whole(),
    "return_documents": HandlerOption.flag(),
}
# What a request may say, too.
_ASKED = frozenset({
    "dimensions", "normalize", "precision", "prompt", "prompt_name", "return_documents", "task",
    "top_k", "usage",
})  # fmt: skip


def read_parameters(
    options: Mapping[str, HandlerOption], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """What a request says beside its texts.

    Args:
        options: What can be said in a config.
        fields: The request's fields. Those that are no options are left alone, as a table has
            columns of its own; under ``parameters`` there is nothing else.

    Raises:
        PredictionException: A value is not what it may be, or a parameter is not known.
    """
    known = {name: option for name, option in options.items() if name in _ASKED}
    nested = fields.get("parameters")
    if nested is not None:
        if not isinstance(nested, dict):
            raise bad_item(f"parameters is {nested!r}, where a mapping is expected")
        for name in nested:
            if name not in known:
                meant = did_you_mean(str(name), known) or f"; there are {', '.join(known)}"
                raise bad_item(f"there is no parameter {name!r}{meant}")
        fields = {**fields, **nested}
    return {
        name: _read(name, option, fields[name])
        for name, option in known.items()
        if fields.get(name) is not None
    }


def _read(name: str, option: HandlerOption, value: Any) -> Any:
    """A value; that of a form is text: ``3``, ``true``."""
    for form in (value, _plain(value)):
        try:
            return option.read(form)
        except (ValueError, TypeError):
            continue
    raise bad_item(f"{name} is {value!r}, where {option.takes} is expected")


def _plain(value: Any) -> Any:
    try:
        return json.loads(value.lower()) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
