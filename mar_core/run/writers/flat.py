"""Results as flat columns with types, for tables that other programs read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mar_core.run.brief import label_scores

__all__ = ["best", "columns_of", "flat_rows"]

# A longer list of numbers is one cell of JSON text: a row of a thousand columns helps nobody.
LONGEST = 64
DEEPEST = 4
_ERRORS = ("stage", "type", "message", "code")


def best(value: Any, count: int) -> Any:
    """Of labels with scores, or of found objects, the best so many; anything else as it is."""
    if not label_scores(value):
        return value
    if isinstance(value, Mapping):
        return dict(label_scores(value)[:count])
    return sorted(value, key=lambda found: -found["score"])[:count]


def flat_rows(row: Mapping[str, Any], *, top: int | None = None) -> Iterator[dict[str, Any]]:
    """The flat rows of a row: one, or of a list of found objects one for each.

    A classification is ``label`` and ``score``, and with ``top`` ``label_2``, ``score_2`` and so
    on; a found object is ``label``, ``score`` and ``box_0`` to ``box_3``. Other dicts give a column
    for each key, lists one for each item.

    Args:
        row: A row of results.
        top: How many labels have columns.
    """
    begin = {"id": row.get("id"), **_kept(row)}
    end = {f"error_{name}": row["error"].get(name) for name in _ERRORS} if "error" in row else {}
    for cells in _results(row["result"], top or 1) if "result" in row else ({},):
        taken = {f"result_{name}" if name in begin else name: cell for name, cell in cells.items()}
        yield {**begin, **taken, **end}


def columns_of(rows: Iterator[Mapping[str, Any]]) -> dict[str, type]:
    """The columns of flat rows, errors last, each with the type that holds all its cells."""
    found: dict[str, type] = {}
    for row in rows:
        for name, cell in row.items():
            kind = type(cell)
            if cell is not None:
                found[name] = _wider(found[name], kind) if name in found else kind
    names = [name for name in found if not name.startswith("error_")]
    names += [f"error_{name}" for name in _ERRORS]
    return {name: found.get(name, int if name == "error_code" else str) for name in names}


def _kept(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = row.get("input")
    if not isinstance(kept, Mapping):
        return {}
    cells: dict[str, Any] = {}
    for name, value in kept.items():
        _spread(f"input_{name}" if name == "id" else name, value, cells, 0)
    return cells


def _results(result: Any, top: int) -> Iterator[dict[str, Any]]:
    scores = label_scores(result)
    if scores and isinstance(result, Mapping):
        cells: dict[str, Any] = {}
        for number, (label, score) in enumerate(scores[:top], start=1):
            end = f"_{number}" if number > 1 else ""
            cells |= {f"label{end}": label, f"score{end}": score}
        yield cells
    elif scores:
        for found in result:
            label = next(key for key in found if key != "score")
            cells = {"label": label, "score": found["score"]}
            _spread("box", found[label], cells, 0)
            yield cells
    else:
        cells = {}
        if isinstance(result, Mapping):
            for name, value in result.items():
                _spread(str(name), value, cells, 1)
        else:
            _spread("result", result, cells, 0)
        yield cells


def _spread(name: str, value: Any, cells: dict[str, Any], depth: int) -> None:
    """Put a value into cells, items of it under the name and theirs."""
    if depth < DEEPEST and isinstance(value, Mapping) and value:
        items = [(str(key), item) for key, item in value.items()]
    elif depth < DEEPEST and isinstance(value, list) and 0 < len(value) <= LONGEST:
        items = [(str(number), item) for number, item in enumerate(value)]
    else:
        scalar = value is None or isinstance(value, (str, bool, int, float))
        cells[name] = value if scalar else json.dumps(value, ensure_ascii=False)
        return
    for key, item in items:
        _spread(f"{name}_{key}", item, cells, depth + 1)


def _wider(first: type, second: type) -> type:
    if first is second:
        return first
    return float if {first, second} == {int, float} else str
