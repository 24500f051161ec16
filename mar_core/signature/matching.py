"""Values and signatures: whether an answer is what was declared, and what a value would declare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mar_core.signature.record import ANY_LENGTH, Signature, SignatureError, SignatureField

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["mismatches", "observed"]

_BYTES = (bytes, bytearray, memoryview)
_PICTURES = (
    b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*",
)  # fmt: skip
_LARGEST_EXAMPLE = 1000
_MOST_LEVELS = 6
_MOST_NAMES = 20
_LONGEST_NAME = 100


def mismatches(field: SignatureField, value: Any, where: str = "answer") -> Iterator[str]:
    """Where a value is not what a field says.

    Args:
        field: What it should be.
        value: What a handler returned for one request.
        where: What to call the value.

    Yields:
        One sentence for each place.
    """
    if field.any_of:
        if not any(_fits(option, value) for option in field.any_of):
            yield f"{where} is {_kind(value)}, where {field} is declared."
    elif field.type == "list":
        yield from _list_mismatches(field, value, where)
    elif field.type == "object":
        yield from _object_mismatches(field, value, where)
    elif field.type != "json" and not _is_plain(field, value):
        yield f"{where} is {_kind(value)}, where {field} is declared."


def _fits(field: SignatureField, value: Any) -> bool:
    return next(mismatches(field, value), None) is None


def _list_mismatches(field: SignatureField, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, (list, tuple)):
        yield f"{where} is {_kind(value)}, where a list is declared."
    elif field.items is not None:
        for at, item in enumerate(value):
            yield from mismatches(field.items, item, f"{where}[{at}]")


def _object_mismatches(field: SignatureField, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where} is {_kind(value)}, where an object is declared."
        return
    for name in field.fields:
        if name not in value:
            yield f"{where} has no {name!r}, which is declared."
    for name, item in value.items():
        part = field.fields.get(name, field.values)
        if part is not None:
            yield from mismatches(part, item, f"{where}.{name}")
        elif field.fields:
            yield f"{where} has {name!r}, which is not declared."


def _is_plain(field: SignatureField, value: Any) -> bool:
    if field.type == "string":
        return isinstance(value, str)
    if field.type in {"image", "bytes"}:
        is_picture = type(value).__module__.startswith("PIL.") and field.type == "image"
        return isinstance(value, _BYTES) or is_picture
    if field.type == "tensor":
        dtype = str(getattr(value, "dtype", "")).removeprefix("torch.")
        known = dtype and field.dtype in (None, dtype)
        return bool(known) and _has_shape(tuple(value.shape), field.shape)
    shape = _shape_of(value.tolist() if hasattr(value, "tolist") else value, field.type)
    return shape is not None and _has_shape(shape, field.shape)


def _has_shape(shape: tuple[int, ...], declared: tuple[int, ...] | None) -> bool:
    return declared is None or (
        len(shape) == len(declared)
        and all(want in (ANY_LENGTH, have) for want, have in zip(declared, shape, strict=True))
    )


def _shape_of(value: Any, kind: str) -> tuple[int, ...] | None:
    """The shape of nested lists of numbers of a kind; None where they are none."""
    if not isinstance(value, (list, tuple)):
        return () if _is_number(value, kind) else None
    if not value:
        return (0,)
    first = _shape_of(value[0], kind)
    # Answers may be long: the first number of another kind ends the look.
    if first is None or any(_shape_of(item, kind) != first for item in value):
        return None
    return (len(value), *first)


def _is_number(value: Any, kind: str) -> bool:
    if kind == "bool" or isinstance(value, bool):
        return kind == "bool" and isinstance(value, bool)
    if "float" in kind:
        # What JSON does not have is written as a string.
        return isinstance(value, (int, float)) or value in ("NaN", "Infinity", "-Infinity")
    return isinstance(value, int) and (value >= 0 or not kind.startswith("u"))


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "dtype"):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')} {list(shape)}"
    for kind in ("bool", "int64", "float64"):
        found = _shape_of(value, kind)
        if found is not None:
            return f"{kind}{list(found) if found else ''}"
    return f"{type(value).__name__} {repr(value)[:60]}"


def observed(rows: Sequence[Mapping[str, Any]], results: Sequence[Any]) -> Signature:
    """The signature that requests and their results show.

    Args:
        rows: Requests, as the handler got them.
        results: Their results, as JSON values.
    """
    inputs: tuple[SignatureField, ...] = ()
    if rows and all(row.keys() == rows[0].keys() for row in rows):
        names = list(rows[0])[:_MOST_NAMES]
        # A request that has no name comes as `body` or as `data`; handlers look for both.
        called = ["data"] if names == ["body"] else names
        inputs = tuple(
            _named(called[at], [row[name] for row in rows]) for at, name in enumerate(names)
        )
    outputs = (_named("result", list(results)),) if results else ()
    # Names may be strange, and there may be too much to tell: then less is told.
    coarse = (SignatureField(type="json", name="result"),) if results else ()
    for kept in ((inputs, outputs), (inputs, coarse), ((), outputs), ((), coarse)):
        found = Signature(inputs=kept[0], outputs=kept[1], origin="examples")
        try:
            return Signature.from_dict(found.to_dict())
        except SignatureError:
            continue
    return Signature(origin="examples")


def _named(name: str, values: Sequence[Any]) -> SignatureField:
    found = _of(values[0])
    for value in values[1:]:
        found = _merged(found, _of(value))
    return replace(found, name=name, example=values[0] if _is_small(values[0]) else None)


def _is_small(value: Any) -> bool:
    try:
        return len(json.dumps(value, allow_nan=False)) <= _LARGEST_EXAMPLE
    except (TypeError, ValueError, RecursionError):
        return False


def _of(value: Any, level: int = 0) -> SignatureField:
    """The field that one value shows."""
    if isinstance(value, str):
        return SignatureField(type="string")
    if isinstance(value, _BYTES):
        head = bytes(value[:12])
        is_picture = head.startswith(_PICTURES) or head[8:] == b"WEBP"
        return SignatureField(type="image" if is_picture else "bytes")
    for kind in ("bool", "int64", "float64"):
        shape = _shape_of(value, kind)
        if shape is not None and 0 not in shape:
            return SignatureField(type=kind, shape=shape)
    if level >= _MOST_LEVELS or not isinstance(value, (dict, list)):
        return SignatureField(type="json")
    if isinstance(value, dict):
        return _of_object(value, level)
    items = [_of(item, level + 1) for item in value]
    return SignatureField(type="list", items=_all_merged(items) if items else None)


def _of_object(value: dict[str, Any], level: int) -> SignatureField:
    parts = {str(name): _of(part, level + 1) for name, part in value.items()}
    plain = all(name.isprintable() and len(name) <= _LONGEST_NAME for name in parts)
    if plain and len(parts) <= _MOST_NAMES:
        return SignatureField(type="object", fields=parts)
    return SignatureField(type="object", values=_all_merged(list(parts.values())))


def _all_merged(fields: Sequence[SignatureField]) -> SignatureField:
    found = fields[0]
    for field in fields[1:]:
        found = _merged(found, field)
    return found


def _merged(one: SignatureField, other: SignatureField) -> SignatureField:
    """What is true of both."""
    if one == other:
        return one
    if {one.type, other.type} == {"int64", "float64"} or one.type == other.type:
        if one.type == "list":
            known = [items for items in (one.items, other.items) if items is not None]
            return SignatureField(type="list", items=_all_merged(known) if known else None)
        if one.type == "object":
            return _merged_objects(one, other)
        kind = one.type if one.type == other.type else "float64"
        return SignatureField(type=kind, shape=_merged_shapes(one.shape, other.shape))
    return SignatureField(type="json")


def _merged_shapes(
    one: tuple[int, ...] | None, other: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(a if a == b else ANY_LENGTH for a, b in zip(one, other, strict=True))


def _merged_objects(one: SignatureField, other: SignatureField) -> SignatureField:
    if one.fields.keys() == other.fields.keys() and one.values == other.values:
        fields = {name: _merged(part, other.fields[name]) for name, part in one.fields.items()}
        return SignatureField(type="object", fields=fields, values=one.values)
    # Different names in different answers are no names of fields, but of classes.
    parts = [*one.fields.values(), *other.fields.values()]
    parts += [values for values in (one.values, other.values) if values is not None]
    return SignatureField(type="object", values=_all_merged(parts) if parts else None)
