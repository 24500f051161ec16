"""Results as JSON values: what a handler may return, and how it is written down.

What JSON cannot hold, bytes, tensors, arrays and pictures, stands in the row, or in a file beside
it with a pointer in the row.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import hashlib
import io
import json
import math
import numbers
import re
import sys
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NoReturn

from mar_core.errors import HandlerError
from mar_core.records import Failure, Outcome
from mar_core.runtime.requests import JSON, media_type
from mar_core.runtime.targets import replaced, writing

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BlobFolder", "Save", "as_file", "encode", "is_blob", "plain", "to_json"]

MAX_DEPTH = 64
# Takes a value that JSON cannot hold and where it stands in the result; gives what to put there.
Save = Callable[[Any, str], Any]

_NO_TEXT = frozenset(map(chr, range(0x20))) - set("\t\n\r\f\b\x1b")
_PLAIN = frozenset({str, bool, type(None)})
# Python writes and reads no integer of more digits (4,300), for that takes quadratic time.
_LARGE = 10**4300
_AS_TEXT = (PurePath, uuid.UUID, Decimal, dt.timedelta)
_TIMES = (dt.date, dt.time)
_BYTES = (bytes, bytearray, memoryview)
_LISTS = (list, tuple, set, frozenset, deque)
_LONGEST_NAME = 80
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_PNG_MODES = {"1", "L", "LA", "I;16", "P", "RGB", "RGBA"}
_TIFF_MODES = {"I", "F", "CMYK", "YCbCr", "LAB"}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"II*\x00", ".tiff"),
    (b"MM\x00*", ".tiff"),
    (b"%PDF-", ".pdf"),
    (b"\x93NUMPY", ".npy"),
    (b"PK\x03\x04", ".zip"),
    (b"OggS", ".ogg"),
    (b"fLaC", ".flac"),
)
_RIFF = {b"WEBP": ".webp", b"WAVE": ".wav"}


def plain(outcome: Outcome, *, save: Callable[[str], Save] | None = None) -> Outcome:
    """The outcome with a result that JSON can hold, or with a failure of the stage ``result``.

    Args:
        outcome: What an engine gave.
        save: Makes, for an id, what puts bytes, tensors and pictures into files; None keeps them
            in the row.
    """
    if outcome.failure is not None or (type(outcome.result) in _PLAIN and not outcome.streamed):
        return outcome
    keep = save(outcome.id) if save is not None else _inline
    kind = outcome.response.content_type
    try:
        show = _as_text if save is not None else _as_read
        result = to_json(show(outcome.result, kind), save=keep)
        chunks = tuple(
            to_json(show(chunk, kind), save=keep, where=f"streamed.{number}")
            for number, chunk in enumerate(outcome.streamed)
        )
    except HandlerError as error:
        failure = Failure(stage="result", type="TypeError", message=str(error))
        return dataclasses.replace(outcome, result=None, failure=failure, streamed=())
    return Outcome(
        index=outcome.index,
        id=outcome.id,
        result=result,
        response=outcome.response,
        streamed=chunks,
    )


def to_json(value: Any, *, save: Save | None = None, where: str = "result") -> Any:
    """A value as strict JSON knows it.

    Numbers that JSON does not have become the strings ``NaN``, ``Infinity`` and ``-Infinity``.
    Tensors and arrays become nested lists, and bytes and pictures ``{"base64": …}``, unless
    ``save`` puts them elsewhere; bytes that are UTF-8 text become text, or the JSON that they are.

    Args:
        value: What a handler returned.
        save: Takes over tensors and arrays of one dimension or more, bytes and pictures.
        where: What to call the value in errors.

    Raises:
        HandlerError: It holds something that cannot be written down; the sentence says what and
            where.
    """
    return _convert(value, save or _inline, where, 0)


def is_blob(value: Any) -> bool:
    """Whether a value is bytes, a picture, or a tensor or array of one dimension or more."""
    if isinstance(value, _BYTES) or _is(value, "PIL.Image", "Image"):
        return True
    return (_is(value, "torch", "Tensor") or _is(value, "numpy", "ndarray")) and value.ndim > 0


def _convert(value: Any, save: Save, where: str, depth: int) -> Any:
    if type(value) in _PLAIN:
        return value
    if type(value) is int:
        return _integer(value, where)
    if depth > MAX_DEPTH:
        _refuse(f"result is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, enum.Enum):
        return _convert(value.value, save, where, depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
        value = {name: getattr(value, name) for name in fields}
    if isinstance(value, Mapping):
        return _mapping(value, save, where, depth)
    if isinstance(value, _LISTS):
        return _items(value, save, where, depth)
    return save(value, where) if is_blob(value) else _scalar(value, where)


def _mapping(value: Mapping[Any, Any], save: Save, where: str, depth: int) -> dict[str, Any]:
    found = {
        (name := _key(key, where)): _convert(item, save, f"{where}.{name}", depth + 1)
        for key, item in value.items()
    }
    if len(found) < len(value):
        names = Counter(_key(key, where) for key in value)
        twice = next(name for name, count in names.items() if count > 1)
        _refuse(f"{where} has several keys that JSON writes as {twice!r}")
    return found


def _items(value: Iterable[Any], save: Save, where: str, depth: int) -> list[Any]:
    ordered = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
    return [
        _convert(item, save, f"{where}.{number}", depth + 1) for number, item in enumerate(ordered)
    ]


def _key(key: Any, where: str) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return str(key)
    scalar = key is None or isinstance(key, (numbers.Real, *_AS_TEXT, *_TIMES))
    if not scalar:
        _refuse(f"{where} has a key of type {_name(key)}")
    text = _scalar(key, where)
    return text if isinstance(text, str) else json.dumps(text)


def _scalar(value: Any, where: str) -> Any:
    if _is(value, "torch", "Tensor") or _is_numpy_scalar(value):
        value = value.item()
    if isinstance(value, (str, *_AS_TEXT)):
        return str(value)
    if isinstance(value, _TIMES):
        return value.isoformat()
    if value is None:
        return value
    if isinstance(value, int):
        return _integer(value, where)
    if not isinstance(value, numbers.Real):
        _refuse(f"{where} is of type {_name(value)}")
    return _float(float(value))


def _integer(value: int, where: str) -> int:
    if not -_LARGE < value < _LARGE:
        _refuse(f"{where} is an integer of more than 4,300 digits")
    return value


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _inline(value: Any, where: str) -> Any:
    if isinstance(value, _BYTES):
        shown = _as_read(value, None)
        if shown is not value:
            return to_json(shown, where=where)
        return {"base64": base64.b64encode(value).decode("ascii")}
    if _is(value, "PIL.Image", "Image"):
        return {"base64": base64.b64encode(as_file(value)[0]).decode("ascii")}
    try:
        numbers = _dense(value).tolist()
    except (RuntimeError, NotImplementedError):
        _refuse(f"{where} is a tensor without numbers")
    return to_json(numbers, where=where)


def _dense(value: Any) -> Any:
    """A tensor with all of its numbers in place; anything else as it is."""
    return value.to_dense() if getattr(value, "is_sparse", False) else value


def _as_text(value: Any, content_type: str | None) -> Any:
    """Bytes that the handler itself calls text, as text."""
    kind = media_type(content_type or "")
    if isinstance(value, _BYTES) and (kind.startswith("text/") or kind == JSON):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            return value
    return value


def _as_read(value: Any, content_type: str | None) -> Any:
    """Bytes as who looks at a row reads them: JSON parsed, other text as text."""
    if not isinstance(value, _BYTES):
        return value
    text = _as_text(value, content_type)
    if text is value:
        try:
            text = bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            return value
        if not _NO_TEXT.isdisjoint(text):
            return value
    try:
        return json.loads(text) if text.lstrip().startswith(("{", "[")) else text
    except (ValueError, RecursionError):
        return text


def _is(value: Any, module: str, name: str) -> bool:
    """Whether a value is of a type of a library, which is not imported for the question."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))


def _is_numpy_scalar(value: Any) -> bool:
    return _is(value, "numpy", "generic") or _is(value, "numpy", "ndarray")


def _name(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _refuse(fault: str) -> NoReturn:
    raise HandlerError(
        f"The handler's {fault}, which cannot be written down.",
        stage="result",
        hint="Return text, numbers, lists, dicts, bytes, tensors, arrays or pictures.",
    )


class BlobFolder:
    """A folder that takes what JSON cannot hold. It pickles, so that workers can write to it.

    Args:
        path: The folder; it is made when the first file comes.
        shown: How the user named it, for the rows; the same where it is None.
    """

    def __init__(self, path: Path, *, shown: Path | None = None) -> None:
        self.path = path
        self.shown = shown or path

    def save_for(self, name: str) -> Save:
        """What puts the values of one result, known by its input's id, into files."""
        taken: set[str] = set()

        def save(value: Any, where: str) -> dict[str, Any]:
            content, ending, about = as_file(value)
            place = where.removeprefix("result").lstrip(".")
            stem = _stem(name, place)
            while stem + ending in taken:
                stem += "-"
            taken.add(stem + ending)
            path = self.path / f"{stem}{ending}"
            with writing(path), replaced(path, sync=False) as stream:
                stream.write(content)
            return {"file": str(self.shown / path.name), "size": len(content), **about}

        return save


def as_file(value: Any) -> tuple[bytes, str, dict[str, Any]]:
    """A value as the content of a file.

    Returns:
        The bytes, the file's ending, and what the row should say about it: a tensor's or array's
        ``dtype`` and ``shape``.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        content = bytes(value)
        return content, _ending(content), {}
    buffer = io.BytesIO()
    if not hasattr(value, "dtype"):
        ending = "tiff" if value.mode in _TIFF_MODES else "png"
        picture = value if value.mode in _PNG_MODES | _TIFF_MODES else value.convert("RGBA")
        picture.save(buffer, format=ending)
        return buffer.getvalue(), f".{ending}", {}
    about = {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
    if "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor):
        # A copy: torch.save writes all of the storage that a view belongs to.
        sys.modules["torch"].save(_dense(value.detach()).cpu().clone(), buffer)
        return buffer.getvalue(), ".pt", about
    sys.modules["numpy"].save(buffer, value, allow_pickle=False)
    return buffer.getvalue(), ".npy", about


def _ending(content: bytes) -> str:
    if content[:4] == b"RIFF":
        return _RIFF.get(content[8:12], ".bin")
    return next((ending for magic, ending in _MAGIC if content.startswith(magic)), ".bin")


def _stem(name: str, place: str) -> str:
    """A file name that is safe everywhere, readable, and different for every id and place."""
    digest = hashlib.blake2b(f"{name}\0{place}".encode(errors="surrogateescape"), digest_size=5)
    readable = _UNSAFE.sub("_", f"{name}.{place}" if place else name).strip("._-")
    return f"{readable[-_LONGEST_NAME:]}-{digest.hexdigest()}"


def encode(value: Any) -> tuple[bytes, bool]:
    """A result as a body, and whether it is JSON that was made here.

    Text and bytes go as they are, a tensor as ``torch.save`` writes it; all else becomes JSON,
    indented by two spaces, in ASCII. What TorchServe cannot write, arrays for example, goes as
    ``mar run`` writes it.

    Raises:
        HandlerError: It cannot be written down.
    """
    if isinstance(value, str):
        return value.encode("utf-8", errors="surrogatepass"), False
    if isinstance(value, _BYTES):
        return bytes(value), False
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue(), False
    try:
        return json.dumps(value, indent=2).encode(), True
    except (TypeError, ValueError, RecursionError):
        return _indented(value), True


def _indented(value: Any) -> bytes:
    try:
        return json.dumps(to_json(value), indent=2).encode()
    except (ValueError, RecursionError) as error:
        raise HandlerError(
            f"The handler's result cannot be written as JSON: {error}.", stage="result"
        ) from error
