"""From what a request carries to what a pipeline takes. Nothing here opens a path or an address."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mar_core import ModelError, as_text, bad_item, decode_image, from_base64, to_rgb
from mar_transformers.tasks import LABELS_INSIDE, Takes, Task

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["is_chat", "read_input", "read_labels"]

_BYTES = (bytes, bytearray, memoryview)


def read_input(task: Task, value: Any, parameters: dict[str, Any], *, rate: int | None) -> Any:
    """Read one item for a task.

    Args:
        task: The task.
        value: What the request carries.
        parameters: What it asks for; labels that came with the item are put there.
        rate: The samples a second that the model takes, where it hears.

    Raises:
        PredictionException: It is not what the task takes; the sentence says what is.
    """
    read: Callable[[Task, Any, dict[str, Any]], Any]
    if task.takes is Takes.AUDIO:
        return _audio(_without_labels(value, parameters, ("audio", "data")), rate)
    read = {
        Takes.TEXT: _text,
        Takes.TEXT_OR_PAIR: _text_or_pair,
        Takes.PROMPT: _prompt,
        Takes.QUESTION: _question,
        Takes.TABLE: _table,
        Takes.IMAGE: _image_only,
        Takes.IMAGE_AND_LABELS: _image_and_labels,
        Takes.IMAGE_AND_TEXT: _image_and_text,
        Takes.DOCUMENT: _document,
    }[task.takes]
    return read(task, value, parameters)


def is_chat(value: Any) -> bool:
    """Whether a list is the messages of a chat, and so one input."""
    return isinstance(value, list) and all(
        isinstance(one, Mapping) and {"role", "content"} <= one.keys() for one in value
    )


# ── Texts ─────────────────────────────────────────────────────────────────────────────────────────


def _text(task: Task, value: Any, parameters: dict[str, Any]) -> str:
    value = _without_labels(value, parameters, ("text", "sequences", "sequence"))
    return _as_text(value, task.takes)


def _as_text(value: Any, takes: Takes) -> str:
    if not isinstance(value, (str, *_BYTES)):
        raise _other(value, takes)
    text = as_text(value)
    if not text.strip():
        raise bad_item("the text is empty")
    return text


def _text_or_pair(task: Task, value: Any, _: dict[str, Any]) -> Any:
    if not isinstance(value, Mapping):
        return _as_text(value, task.takes)
    if "text" not in value or value.keys() - {"text", "text_pair"}:
        raise _other(value, task.takes)
    return {key: _as_text(one, task.takes) for key, one in value.items()}


def _prompt(task: Task, value: Any, _: dict[str, Any]) -> Any:
    if isinstance(value, Mapping):
        value = value.get("messages", value.get("text", value))
    if not isinstance(value, list):
        return _as_text(value, task.takes)
    if not is_chat(value) or not all(_is_text_message(one) for one in value):
        raise _other(value, task.takes)
    return [dict(one) for one in value]


def _is_text_message(message: Mapping[str, Any]) -> bool:
    content = message["content"]
    return isinstance(content, str) or (
        isinstance(content, list)
        and all(isinstance(one, Mapping) and one.get("type") == "text" for one in content)
    )


def _question(task: Task, value: Any, _: dict[str, Any]) -> dict[str, str]:
    if not isinstance(value, Mapping) or not {"question", "context"} <= value.keys():
        raise _other(value, task.takes)
    return {key: _as_text(value[key], task.takes) for key in ("question", "context")}


def _table(task: Task, value: Any, _: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not {"query", "table"} <= value.keys():
        raise _other(value, task.takes)
    table = value["table"]
    columns = list(table.values()) if isinstance(table, Mapping) else []
    if not columns or not all(isinstance(column, list) for column in columns):
        raise _other(value, task.takes)
    if len({len(column) for column in columns}) > 1:
        raise bad_item("the columns of the table differ in length")
    # Cells are text: TAPAS reads them as such.
    cells = {str(name): [str(cell) for cell in column] for name, column in table.items()}
    return {"query": _as_text(value["query"], task.takes), "table": cells}


# ── Pictures ──────────────────────────────────────────────────────────────────────────────────────


def _image_only(task: Task, value: Any, _: dict[str, Any]) -> Image.Image:
    image = _image(value["image"] if isinstance(value, Mapping) and "image" in value else value)
    if task.name == "depth-estimation" and min(image.size) < _LEAST_SIDE:
        size = "×".join(map(str, image.size))
        raise bad_item(f"the picture has {size} pixels, too few for depths to differ")
    return image


# With a side of one pixel the pipeline takes height for width.
_LEAST_SIDE = 2


def _image_and_labels(task: Task, value: Any, parameters: dict[str, Any]) -> Any:
    image = _image(_without_labels(value, parameters, ("image",)))
    if task.name not in LABELS_INSIDE:
        return image
    labels = parameters.get("candidate_labels")
    if not labels:
        raise _no_labels()
    return {"image": image, "candidate_labels": labels}


def _image_and_text(task: Task, value: Any, _: dict[str, Any]) -> Any:
    if isinstance(value, Mapping) and "messages" in value:
        value = value["messages"]
    if isinstance(value, list):
        if not is_chat(value):
            raise _other(value, task.takes)
        return [_message_with_pictures(one) for one in value]
    if not isinstance(value, Mapping):
        return {"images": _image(value), "text": ""}
    given = value.get("image", value.get("images"))
    if given is None:
        raise _other(value, task.takes)
    images = [_image(one) for one in given] if isinstance(given, list) else _image(given)
    text = value.get("text", value.get("question", ""))
    if not isinstance(text, str):
        raise _other(value, task.takes)
    return {"images": images, "text": text}


def _message_with_pictures(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, str):
        return dict(message)
    if not isinstance(content, list):
        raise _other(content, Takes.IMAGE_AND_TEXT)
    return {**message, "content": [_part(one) for one in content]}


def _part(part: Any) -> dict[str, Any]:
    """One part of a message: text, or a picture that the request itself holds."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind in {"image", "image_url"}:
        value = next((part[key] for key in _PICTURE_KEYS if part.get(key) is not None), None)
        value = value.get("url") if isinstance(value, Mapping) else value
        return {"type": "image", "image": _image(value)}
    raise bad_item(f"a part of a message is {kind or 'nothing'}, where text or image is expected")


_PICTURE_KEYS = ("image", "base64", "image_url", "url", "data")


def _document(task: Task, value: Any, _: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping) or "question" not in value:
        raise _other(value, task.takes)
    read: dict[str, Any] = {"question": _as_text(value["question"], task.takes)}
    if value.get("image") is not None:
        read["image"] = _image(value["image"])
    if value.get("word_boxes") is not None:
        read["word_boxes"] = [_word_box(one) for one in value["word_boxes"]]
    if len(read) == 1:
        raise _other(value, task.takes)
    return read


def _word_box(one: Any) -> list[Any]:
    """A word and its box, in thousandths of the page: `["total", [x1, y1, x2, y2]]`."""
    try:
        word, box = one
        left, top, right, bottom = (int(edge) for edge in box)
    except (TypeError, ValueError) as error:
        raise bad_item('a word box is ["word", [x1, y1, x2, y2]]') from error
    return [str(word), [left, top, right, bottom]]


def _image(value: Any) -> Image.Image:
    """A picture in RGB, as transformers would open the file itself."""
    from PIL import Image
    from transformers.image_utils import load_image

    if isinstance(value, str):
        value = from_base64(value, "image")
    if isinstance(value, Image.Image):
        return load_image(value)  # type: ignore[no-any-return]
    if not isinstance(value, _BYTES):
        raise _other(value, Takes.IMAGE)
    image = decode_image(value)
    if image.mode == "F" or image.mode.startswith("I"):  # Pillow would cut 16 bits off at 255
        return to_rgb(image)
    try:
        return load_image(image)  # type: ignore[no-any-return]
    except ValueError as error:  # colours that Pillow turns into no others
        raise bad_item(f"the image cannot be turned into RGB: {error}") from error


# ── Sounds ────────────────────────────────────────────────────────────────────────────────────────


def _audio(value: Any, rate: int | None) -> Any:
    """One channel of float32 at the model's rate."""
    try:
        from mar_audio import read_audio
    except ModuleNotFoundError as error:
        raise ModelError(
            "Sounds need mar-audio, which is not installed.",
            hint="Install it: `pip install 'mar-transformers[audio]'`.",
        ) from error
    return read_audio(value, rate or 16_000).numpy()


# ── Both ──────────────────────────────────────────────────────────────────────────────────────────


def _without_labels(value: Any, parameters: dict[str, Any], names: tuple[str, ...]) -> Any:
    """An item that brings its labels along: `{"text": …, "candidate_labels": […]}`."""
    if not isinstance(value, Mapping):
        return value
    name = next((name for name in names if name in value), None)
    if name is None or value.keys() - {name, "candidate_labels"}:
        return value
    if "candidate_labels" in value:
        parameters["candidate_labels"] = read_labels(value["candidate_labels"])
    return value[name]


def read_labels(value: Any) -> list[str]:
    """What something may be: a list of texts; as a form has it, JSON or texts with commas.

    Args:
        value: What the request carries.

    Raises:
        PredictionException: It is none of these.
    """
    labels = value
    if isinstance(value, (str, *_BYTES)):
        text = as_text(value, "candidate_labels")
        try:
            labels = json.loads(text)
        except (ValueError, RecursionError):
            labels = [one.strip() for one in text.split(",")]
    if not isinstance(labels, list) or not all(isinstance(one, str) and one for one in labels):
        raise bad_item(f"its candidate_labels are {value!r}, where a list of texts is expected")
    return labels


def _no_labels() -> Exception:
    return bad_item("the request has no candidate_labels, which say what may be found")


def _other(value: Any, takes: Takes) -> Exception:
    what = type(value).__name__
    if isinstance(value, Mapping):
        what = f"an object with {', '.join(map(repr, list(value)[:6])) or 'nothing'}"
    return bad_item(f"the request holds {what}, where {takes.value} is expected")
