"""What an archive takes and gives, by its task: for clients, and read without transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core import SavedFiles
from mar_transformers.files import CONFIG
from mar_transformers.options import OUTPUTS
from mar_transformers.tasks import Takes, find_task, task_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Archive
    from mar_transformers.tasks import Task

__all__ = ["signature_of"]

_Field = dict[str, Any]


def signature_of(archive: Archive, options: Mapping[str, Any]) -> _Field:
    """The signature of an archive of the handler ``transformers``.

    A request of several items is answered by a list of such answers, and may say more than is
    declared; what is declared is the one item that the task is for.

    Args:
        archive: The archive, open.
        options: What its model-config.yaml says under ``handler:``.

    Raises:
        ModelError: What the model is for is not known.
    """
    named = options.get("task")
    if isinstance(named, str) and named:
        task = find_task(named)
    else:
        files = SavedFiles.in_archive(archive)
        task = task_of(files.json(CONFIG) if CONFIG in files else {})
    return {"inputs": _inputs(task, options), "outputs": [_output(task, options)]}


def _inputs(task: Task, options: Mapping[str, Any]) -> list[_Field]:
    fields = [dict(field) for field in _TAKEN[task.takes]]
    held = options.get("parameters")
    labels = "candidate_labels" in task.parameters
    if not labels or (isinstance(held, dict) and held.get("candidate_labels")):
        return fields
    if len(fields) == 1:  # of several inputs each is a field of the request
        fields[0]["name"] = _FIELD[fields[0]["type"]]
    return [*fields, _LABELS]


def _output(task: Task, options: Mapping[str, Any]) -> _Field:
    form = options.get("output", OUTPUTS[0])
    if task.name == "image-segmentation":
        return _MASKS.get(form, _MASKS[OUTPUTS[0]])
    if task.name == "depth-estimation":
        return _NUMBERS_OF_DEPTH if form == "numbers" else _PICTURE_OF_DEPTH
    found = _GIVEN.get(task.name)
    if found is not None:
        return found
    text = {"type": "object", "fields": {f"{_SAID[task.name]}": {"type": "string"}}}
    return {"name": "texts", "type": "list", "items": text}


_TEXT: _Field = {"name": "data", "type": "string", "description": "A text.", "example": "Good."}
_IMAGE: _Field = {"name": "data", "type": "image", "description": "A picture."}
_SOUND: _Field = {"name": "data", "type": "bytes", "description": "A sound: WAV, FLAC, MP3, …"}
_QUESTION: _Field = {"name": "question", "type": "string", "example": "Who?"}
_LABELS: _Field = {
    "name": "candidate_labels",
    "type": "list",
    "items": {"type": "string"},
    "description": "What it may be.",
    "example": ["good", "bad"],
}
_FIELD = {"string": "text", "image": "image", "bytes": "audio"}
_TAKEN: Mapping[Takes, tuple[_Field, ...]] = {
    Takes.TEXT: (_TEXT,),
    Takes.TEXT_OR_PAIR: (_TEXT,),
    Takes.PROMPT: ({**_TEXT, "description": "A text to go on with.", "example": "Once"},),
    Takes.QUESTION: (
        _QUESTION,
        {"name": "context", "type": "string", "description": "The text that has the answer."},
    ),
    Takes.TABLE: (
        {"name": "query", "type": "string"},
        {
            "name": "table",
            "type": "object",
            "values": {"type": "list", "items": {"type": "string"}},
            "description": "Columns by their names.",
            "example": {"city": ["Bern", "Rome"]},
        },
    ),
    Takes.IMAGE: (_IMAGE,),
    Takes.IMAGE_AND_LABELS: (_IMAGE,),
    Takes.IMAGE_AND_TEXT: (
        {"name": "image", "type": "image", "description": "A picture."},
        {"name": "text", "type": "string", "description": "What is asked of it."},
    ),
    Takes.DOCUMENT: (
        {"name": "image", "type": "image", "description": "A page."},
        _QUESTION,
    ),
    Takes.AUDIO: (_SOUND,),
}

_SCORE = {"type": "float32"}
_SCORES: _Field = {
    "name": "classes",
    "type": "list",
    "items": {"type": "object", "fields": {"label": {"type": "string"}, "score": _SCORE}},
    "description": "Classes and their scores, the best first.",
    "example": [{"label": "POSITIVE", "score": 0.98}],
}
_BOXES: _Field = {
    "name": "boxes",
    "type": "list",
    "items": {
        "type": "object",
        "fields": {"score": _SCORE},
        "values": {"type": "float32", "shape": [4]},
    },
    "description": "For each box its label with x1, y1, x2, y2 in pixels, and a score.",
    "example": [{"cat": [12.5, 30.0, 220.5, 310.0], "score": 0.98}],
}
_SPAN = {"score": _SCORE, "start": {"type": "json"}, "end": {"type": "json"}}
_ANSWER = {"type": "object", "fields": {"answer": {"type": "string"}}, "values": {"type": "json"}}
_ANSWERS: _Field = {
    "name": "answer",
    "any_of": [_ANSWER, {"type": "list", "items": _ANSWER}],
    "description": "The answer and where it stands; a list where several are asked for.",
}
_GENERATED = {
    "type": "object",
    "fields": {"generated_text": {"type": "json"}},
    "values": {"type": "json"},
}
_GIVEN: Mapping[str, _Field] = {
    "text-classification": _SCORES,
    "image-classification": _SCORES,
    "audio-classification": _SCORES,
    "zero-shot-image-classification": _SCORES,
    "zero-shot-audio-classification": _SCORES,
    "object-detection": _BOXES,
    "zero-shot-object-detection": _BOXES,
    "token-classification": {
        "name": "tokens",
        "type": "list",
        "items": {
            "type": "object",
            "fields": {**_SPAN, "word": {"type": "string"}},
            "values": {"type": "json"},
        },
        "description": "What was found: entity (entity_group where they are joined), its word, "
        "where it starts and ends, and a score.",
    },
    "zero-shot-classification": {
        "name": "classes",
        "type": "object",
        "fields": {
            "sequence": {"type": "string"},
            "labels": {"type": "list", "items": {"type": "string"}},
            "scores": {"type": "float32", "shape": [-1]},
        },
        "description": "The labels and their scores, the best first.",
    },
    "fill-mask": {
        "name": "words",
        "type": "list",
        "description": "For each word score, token, token_str and sequence; a list of such for "
        "each mask where there are several.",
    },
    "question-answering": _ANSWERS,
    "document-question-answering": _ANSWERS,
    "table-question-answering": _ANSWERS,
    "text-generation": {
        "name": "texts",
        "any_of": [
            {"type": "list", "items": _GENERATED},
            {"type": "string"},
        ],
        "description": "The text, or the messages of the chat; text alone where it is streamed.",
    },
    "image-text-to-text": {
        "name": "texts",
        "type": "list",
        "items": _GENERATED,
    },
    "automatic-speech-recognition": {
        "name": "text",
        "type": "object",
        "fields": {"text": {"type": "string"}},
        "values": {"type": "json"},
        "description": "The text, and chunks with their times where those are asked for.",
    },
    "feature-extraction": {
        "name": "features",
        "type": "float32",
        "shape": [1, -1, -1],
        "description": "For each token its features.",
    },
    "image-feature-extraction": {
        "name": "features",
        "type": "float32",
        "shape": None,
        "description": "For each patch its features; with pool: true those of the picture.",
    },
}
_SAID = {
    "summarization": "summary_text",
    "translation": "translation_text",
    "text2text-generation": "generated_text",
    "image-to-text": "generated_text",
}
_MASKS: Mapping[Any, _Field] = {
    "png": {
        "name": "classes",
        "type": "image",
        "description": "A picture of the classes.",
    },
    "numbers": {
        "name": "classes",
        "type": "float32",
        "shape": [-1, -1, 2],
        "description": "For each pixel its class, -1 for none, and the probability of it.",
    },
    "segments": {
        "name": "segments",
        "type": "list",
        "items": {
            "type": "object",
            "fields": {
                "label": {"type": "string"},
                "score": {"type": "json"},
                "mask": {"type": "image"},
            },
        },
    },
}
_PICTURE_OF_DEPTH: _Field = {"name": "depth", "type": "image"}
_NUMBERS_OF_DEPTH: _Field = {"name": "depth", "type": "float32", "shape": [-1, -1]}
