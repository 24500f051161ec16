"""A signature: the inputs and outputs of a handler as a small, typed record of plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from mar_core.errors import MarError
from mar_core.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DTYPES", "TYPES", "Signature", "SignatureError", "SignatureField"]

# The names of torch's dtypes that a request or an answer can have.
DTYPES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16",
    "bfloat16", "float32", "float64",
)  # fmt: skip
TYPES = ("string", "image", "bytes", "tensor", "list", "object", "json", *DTYPES)
ANY_LENGTH = -1

# A signature may come from anybody's archive.
_MOST_FIELDS = 200
_MOST_LEVELS = 8
_MOST_AXES = 16
_LONGEST_NAME = 100
_LONGEST_TEXT = 1000
_LARGEST_EXAMPLE = 8192
_KEYS = {
    "name", "type", "dtype", "shape", "items", "fields", "values", "any_of", "description",
    "example",
}  # fmt: skip


class SignatureError(MarError):
    """A signature that is not what it must be; the sentence says where and what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureField:
    """One value: an input, an output, or a part of one.

    Attributes:
        type: ``string``, ``image`` (the bytes of a picture), ``bytes``, ``tensor`` (as
            ``torch.save`` writes it), ``list``, ``object``, ``json`` (any of these), or the dtype
            of a number or of nested lists of numbers, such as ``float32``; ``any_of`` where it is
            one of several.
        name: What it is called; empty for parts that have no name.
        dtype: The dtype of a ``tensor``, where it is known.
        shape: The shape of numbers or of a ``tensor``, for one request: ``-1`` stands for any
            length, ``()`` is a single number, None any shape.
        items: What a ``list`` holds.
        fields: The named parts of an ``object``.
        values: The other parts of an ``object``, whatever they are called.
        any_of: What it is one of.
        description: What it is, in words.
        example: One, as a JSON value; None where there is none.
    """

    type: str
    name: str = ""
    dtype: str | None = None
    shape: tuple[int, ...] | None = ()
    items: SignatureField | None = None
    fields: Mapping[str, SignatureField] = field(default_factory=dict)
    values: SignatureField | None = None
    any_of: tuple[SignatureField, ...] = ()
    description: str = ""
    example: Any = None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values; what goes without saying is left out."""
        found: dict[str, Any] = {"name": self.name} if self.name else {}
        if self.any_of:
            found["any_of"] = [option.to_dict() for option in self.any_of]
        else:
            found["type"] = self.type
        if self.dtype:
            found["dtype"] = self.dtype
        if self.shape != ():
            found["shape"] = None if self.shape is None else list(self.shape)
        if self.items is not None:
            found["items"] = self.items.to_dict()
        if self.fields:
            found["fields"] = {name: part.to_dict() for name, part in self.fields.items()}
        if self.values is not None:
            found["values"] = self.values.to_dict()
        if self.description:
            found["description"] = self.description
        if self.example is not None:
            found["example"] = self.example
        return found

    def __str__(self) -> str:
        """Its type in short: ``float32[3, *]``, ``{*: float32}``, ``list of {score: float32}``."""
        if self.any_of:
            return " or ".join(str(option) for option in self.any_of)
        if self.type == "list":
            return f"list of {self.items}" if self.items else "list"
        if self.type == "object":
            parts = [f"{name}: {part}" for name, part in self.fields.items()]
            parts += [f"*: {self.values}"] if self.values else []
            return f"{{{', '.join(parts)}}}" if parts else "object"
        kind = f"tensor {self.dtype}" if self.dtype else self.type
        if self.shape == ():
            return kind
        axes = ["…"] if self.shape is None else ["*" if n == ANY_LENGTH else n for n in self.shape]
        return f"{kind}[{', '.join(map(str, axes))}]"

    def json_schema(self) -> dict[str, Any]:
        """What it is as JSON, in the words of JSON Schema that OpenAPI 3.0 has."""
        if self.any_of:
            found: dict[str, Any] = {"anyOf": [option.json_schema() for option in self.any_of]}
        elif self.type == "object":
            found = self._object_schema()
        elif self.type == "list":
            found = {"type": "array", "items": self.items.json_schema() if self.items else {}}
        else:
            found = self._plain_schema()
        if self.description:
            found["description"] = self.description
        if self.example is not None:
            found["example"] = self.example
        return found

    def _object_schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "object"}
        if self.fields:
            found["required"] = list(self.fields)
            found["properties"] = {name: part.json_schema() for name, part in self.fields.items()}
        if self.values is not None:
            found["additionalProperties"] = self.values.json_schema()
        return found

    def _plain_schema(self) -> dict[str, Any]:
        if self.type == "json":
            return {}
        if self.type in {"string", "image", "bytes"}:
            return {"type": "string"} if self.type == "string" else {"type": "string", **_BASE64}
        kind = self.dtype or self.type
        integral = "integer" if "int" in kind else "number"
        found: dict[str, Any] = {"type": "boolean" if kind == "bool" else integral}
        if self.shape is None:
            return {"description": f"A number or nested lists of numbers: {kind}."}
        for length in reversed(self.shape):
            found = {"type": "array", "items": found}
            if length != ANY_LENGTH:
                found |= {"minItems": length, "maxItems": length}
        return found


_BASE64 = {"format": "byte"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a handler takes and gives for one request.

    Attributes:
        inputs: What a request carries. One alone is the request; of several each is a field of it.
        outputs: What is answered. One alone is the answer; of several each is a field of it.
            Either may be empty, where nothing is said.
        origin: ``handler`` where the handler declares it, ``examples`` where it was seen in the
            examples that were recorded.
    """

    inputs: tuple[SignatureField, ...] = ()
    outputs: tuple[SignatureField, ...] = ()
    origin: str = "handler"

    def __bool__(self) -> bool:
        return bool(self.inputs or self.outputs)

    @classmethod
    def from_dict(cls, data: Any) -> Signature:
        """Read a signature as a handler or a manifest holds it.

        Args:
            data: ``{"inputs": [FIELD, …], "outputs": [FIELD, …]}``.

        Raises:
            SignatureError: It is not that; the sentence says what is wrong where.
        """
        if not isinstance(data, dict):
            _refuse("A signature is a dict with inputs and outputs", "")
        unknown = [key for key in data if key not in {"inputs", "outputs", "origin"}]
        if unknown:
            _refuse(f"A signature has inputs and outputs, and no {str(unknown[0])[:40]!r}", "")
        origin = data.get("origin", "handler")
        if origin not in ("handler", "examples"):
            _refuse("The origin of a signature is handler or examples", "")
        reader = _Reader()
        return cls(
            inputs=reader.several(data.get("inputs", []), "inputs"),
            outputs=reader.several(data.get("outputs", []), "outputs"),
            origin=origin,
        )

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values, which ``from_dict`` reads."""
        return {
            "origin": self.origin,
            "inputs": [one.to_dict() for one in self.inputs],
            "outputs": [one.to_dict() for one in self.outputs],
        }

    def answer(self) -> SignatureField | None:
        """The whole answer as one value; None where nothing is said of it."""
        if len(self.outputs) <= 1:
            return self.outputs[0] if self.outputs else None
        return SignatureField(type="object", fields={one.name: one for one in self.outputs})


class _Reader:
    """Reads fields, and keeps count of them."""

    def __init__(self) -> None:
        self._left = _MOST_FIELDS

    def several(self, data: Any, where: str) -> tuple[SignatureField, ...]:
        if not isinstance(data, (list, tuple)):
            _refuse("is not a list of fields", where)
        found = tuple(self.one(spec, f"{where}[{at}]") for at, spec in enumerate(data))
        names = [one.name for one in found]
        for at, name in enumerate(names):
            if not name:
                _refuse("has no name", f"{where}[{at}]")
            if name in names[:at]:
                _refuse(f"has the name {name!r} of another", f"{where}[{at}]")
        return found

    def one(self, spec: Any, where: str, level: int = 0) -> SignatureField:
        self._left -= 1
        if self._left < 0 or level > _MOST_LEVELS:
            _refuse(f"is one too many: {_MOST_FIELDS} fields, {_MOST_LEVELS} levels", where)
        if not isinstance(spec, dict):
            _refuse('is not a dict such as {"name": "data", "type": "image"}', where)
        for key in spec:
            if key not in _KEYS:
                _refuse(f"has no key {_shown(key)}{_near(key, _KEYS)}", where)
        options = self._parts(spec.get("any_of"), f"{where}.any_of", level)
        kind = _any_of(spec, where) if options else _one_of(spec.get("type"), TYPES, where, "type")
        found = SignatureField(
            type=kind,
            name=_text(spec.get("name", ""), _LONGEST_NAME, f"{where}.name"),
            dtype=_dtype(spec.get("dtype"), kind, where),
            shape=_shape(spec.get("shape", ()), where),
            items=self._part(spec, "items", where, level),
            fields=self._named(spec.get("fields"), f"{where}.fields", level),
            values=self._part(spec, "values", where, level),
            any_of=options,
            description=_text(spec.get("description", ""), _LONGEST_TEXT, f"{where}.description"),
            example=_example(spec.get("example"), where),
        )
        _fits(found, where)
        return found

    def _part(
        self, spec: dict[str, Any], key: str, where: str, level: int
    ) -> SignatureField | None:
        return self.one(spec[key], f"{where}.{key}", level + 1) if key in spec else None

    def _parts(self, data: Any, where: str, level: int) -> tuple[SignatureField, ...]:
        if data is None:
            return ()
        if not isinstance(data, (list, tuple)) or not data:
            _refuse("is not a list of types", where)
        return tuple(self.one(spec, f"{where}[{at}]", level + 1) for at, spec in enumerate(data))

    def _named(self, data: Any, where: str, level: int) -> dict[str, SignatureField]:
        if data is None:
            return {}
        if not isinstance(data, dict):
            _refuse("is not a dict of types by their names", where)
        return {
            _text(name, _LONGEST_NAME, where): self.one(spec, f"{where}.{name}", level + 1)
            for name, spec in data.items()
        }


def _fits(found: SignatureField, where: str) -> None:
    """Refuse what has no meaning for a type: whoever wrote it meant something."""
    if found.shape != () and found.type not in {"tensor", *DTYPES}:
        _refuse(f"is {found.type}, which has no shape", where)
    if found.items is not None and found.type != "list":
        _refuse(f"is {found.type}; only a list has items", where)
    if (found.fields or found.values is not None) and found.type != "object":
        _refuse(f"is {found.type}; only an object has fields and values", where)


def _any_of(spec: Mapping[str, Any], where: str) -> str:
    if "type" in spec:
        _refuse("has a type and any_of; give one of them", where)
    return "any_of"


def _one_of(value: Any, known: Iterable[str], where: str, key: str) -> str:
    if value is None:
        _refuse(f"has no {key}", where)
    if not isinstance(value, str) or value not in known:
        listed = ", ".join(known)
        _refuse(f"is {_shown(value)}{_near(value, known)}, where one of {listed} is expected",
                f"{where}.{key}")  # fmt: skip
    return value


def _dtype(value: Any, kind: str, where: str) -> str | None:
    if value is None:
        return None
    if kind != "tensor":
        _refuse(f"has a dtype; that of {kind} is its type", where)
    return _one_of(value, DTYPES, where, "dtype")


def _shape(value: Any, where: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    fine = isinstance(value, (list, tuple)) and len(value) <= _MOST_AXES
    if not fine or any(type(length) is not int or length < ANY_LENGTH for length in value):
        _refuse(
            "is not a list of lengths, where -1 is any length and None in place of the list is any "
            "shape",
            f"{where}.shape",
        )
    return tuple(value)


def _text(value: Any, longest: int, where: str) -> str:
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        _refuse(f"is not one line of text of at most {longest} characters", where)
    return value


def _example(value: Any, where: str) -> Any:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        _refuse("is no JSON value", f"{where}.example")
    if len(text) > _LARGEST_EXAMPLE:
        _refuse(f"has more than {_LARGEST_EXAMPLE:,} characters", f"{where}.example")
    return json.loads(text)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) and len(value) <= _LONGEST_NAME else "another"


def _near(value: Any, known: Iterable[str]) -> str:
    near = nearest(str(value)[:_LONGEST_NAME], known)
    return f" (did you mean {near[0]}?)" if near else ""


def _refuse(what: str, where: str) -> NoReturn:
    raise SignatureError(f"{where} {what}.".lstrip())
