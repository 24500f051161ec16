"""Results known by their shape: labels with scores, and found objects, in the usual forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Found", "best", "found_in", "label_scores"]

# Half precision may come out a little above 1.
ROUNDING = 1e-2
CORNERS = ("xmin", "ymin", "xmax", "ymax")
_LABELS = ("label", "class", "name", "entity_group", "entity")
_SCORES = ("score", "confidence")
_BOXES = ("box", "bbox", "bounding_box")
# Lists side by side: what they are called, for labels and for scores.
_LABEL_LISTS = ("labels", "classes")
_SCORE_LISTS = ("scores", "probabilities")


class Found(NamedTuple):
    """A label that a model gave.

    Attributes:
        label: The label.
        score: From 0 to 1.
        more: What was said of it besides, such as its ``box``; a class of a classifier has nothing.
    """

    label: str
    score: float
    more: Mapping[str, Any]


def found_in(value: Any, *, least: int = 2) -> list[Found]:
    """The labels with scores of a classification, or the found objects, in the result's order.

    ``{label: score}``, ``[{label: box, "score": s}]``, ``[{"label": l, "score": s, "box": …}]`` and
    ``{"labels": […], "scores": […], "boxes": […]}`` are known; anything else gives none.

    Args:
        value: A result as JSON has it.
        least: How many entries ``{label: score}`` has at least: one may well be a name and a value.
    """
    found: list[Found | None] = []
    if isinstance(value, Mapping):
        found = _side_by_side(value)
        if not found and len(value) >= least:
            found = [Found(str(label), score, {}) for label, score in value.items()]
    elif isinstance(value, list):
        found = [_one(item) for item in value]
    sure = [one for one in found if one is not None and _is_share(one.score)]
    return sure if len(sure) == len(found) else []


def label_scores(value: Any) -> list[tuple[str, float]]:
    """The labels and scores of a classification or of found objects, the best first."""
    pairs = [(one.label, one.score) for one in found_in(value)]
    return sorted(pairs, key=lambda pair: -pair[1])


def best(value: Any, count: int) -> Any:
    """Of labels with scores, or of found objects, the best so many; anything else as it is."""
    found = found_in(value)
    if not found:
        return value
    order = sorted(range(len(found)), key=lambda place: -found[place].score)[:count]
    if isinstance(value, list):
        return [value[place] for place in order]
    if _side_by_side(value):
        return {
            name: [items[place] for place in order] if _is_list(items, len(found)) else items
            for name, items in value.items()
        }
    labels = list(value)
    return {labels[place]: value[labels[place]] for place in order}


def _side_by_side(value: Mapping[str, Any]) -> list[Found | None]:
    labels = next((value[name] for name in _LABEL_LISTS if name in value), None)
    scores: Any = next((value[name] for name in _SCORE_LISTS if name in value), None)
    boxes = value.get("boxes")
    if not isinstance(labels, list) or not _is_list(scores, len(labels)):
        return []
    if boxes is not None and not _is_list(boxes, len(labels)):
        return []
    mores = [{}] * len(labels) if boxes is None else [{"box": box} for box in boxes]
    return [
        Found(str(label), score, more)
        for label, score, more in zip(labels, scores, mores, strict=True)
    ]


def _one(item: Any) -> Found | None:
    if not isinstance(item, Mapping):
        return None
    score = next((name for name in _SCORES if name in item), None)
    label = next((name for name in _LABELS if isinstance(item.get(name), (str, int))), None)
    if score is None:
        return None
    if label is not None:
        more = {
            "box" if name in _BOXES else name: _box(value)
            for name, value in item.items()
            if name not in (label, score)
        }
        return Found(str(item[label]), item[score], more)
    labels = [name for name in item if name != score]
    return Found(labels[0], item[score], {"box": item[labels[0]]}) if len(labels) == 1 else None


def _box(value: Any) -> Any:
    """A box with named corners as its four numbers; anything else as it is."""
    if isinstance(value, Mapping) and set(value) == set(CORNERS):
        return [value[corner] for corner in CORNERS]
    return value


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def _is_share(score: Any) -> bool:
    return isinstance(score, float) and 0 <= score <= 1 + ROUNDING
