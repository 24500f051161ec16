"""``--output report.html``: a page of the run for people, written as the run goes.

A row of it is small enough for a page of ten thousand: what is drawn of it, and no more.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.records import Writer
from mar_core.run.beside import answer_of
from mar_core.run.previews import small_picture
from mar_core.run.report import static_file
from mar_core.run.shapes import found_in
from mar_core.run.writers.base import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mar_core.records import RunSummary, WriteOptions

__all__ = ["ReportWriter", "begin_page", "compact"]

ROW = b'<script type="application/json" class="row">'
NOTE = b'<script type="application/json" class="note">'
END = b"</script>\n"
# In this order: each uses what stands before it.
MODULES = (
    *("dom.js", "texts.js", "pictures.js", "answers.js"),
    *("rows.js", "choice.js", "summary.js", "truth.js", "cards.js", "details.js", "report.js"),
)
STYLES = ("common.css", "report.css")
POLICY = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
# Characters of JSON that a result may have; of a longer one the beginning is shown.
LONGEST = 20_000
CUT = 2_000
# A picture of more characters of base64 is made small.
PICTURE = 40_000
# A grid of numbers has so many rows and columns at least, and is made no larger than the other.
GRID, SIDE = 8, 256
LEVELS = 127
CHANNELS = 4


class ReportWriter(Writer):
    """One page for itself: the rows are data in it, a line each, that its script shows."""

    name = "report"
    endings = (".html", ".htm")
    streams = True
    resumes = True
    previews = True

    def head(self, options: WriteOptions) -> bytes:
        """The page, and what was asked for."""
        asked = {"explain": options.explain, "top": options.top, "keep": list(options.keep)}
        return begin_page() + NOTE + _safe({"asked": asked}) + END

    def write(
        self,
        rows: Callable[[], Iterator[dict[str, Any]]],
        stream: BinaryIO,
        options: WriteOptions,
    ) -> None:
        """Write a line for each row, with the time at which it came."""
        for row in rows():
            shown = compact(row, explain=options.explain)
            stream.write(ROW + _safe({**shown, "at": round(time.time(), 3)}) + END)

    def note(self, summary: RunSummary) -> bytes:
        """A line with what the run has come to; the last one of each part of a run counts."""
        run = {
            "model": summary.model,
            "begun": round(summary.begun, 3),
            "seconds": round(summary.seconds, 3),
            "total": summary.total,
            "skipped": summary.skipped,
            "batches": summary.batches,
            "stages": {name: round(value, 4) for name, value in summary.stage_seconds.items()},
            "finished": summary.finished,
            "interrupted": summary.interrupted,
        }
        return NOTE + _safe({"run": run}) + END

    def parse(self, line: bytes) -> dict[str, Any] | None:
        """The row of a line."""
        if not line.endswith(b"\n"):
            return None
        if not line.startswith(ROW):
            return {}
        try:
            row = json.loads(line[len(ROW) : -len(END)]) if line.endswith(END) else None
        except ValueError:
            return None
        return row if isinstance(row, dict) and isinstance(row.get("id"), str) else None


def _safe(value: Any) -> bytes:
    """JSON in which nothing can end the element that holds it, or begin another."""
    text = dump(value).rstrip(b"\n")
    return text.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def begin_page() -> bytes:
    """The page without rows, each of which is a line more.

    No end tags follow: a page whose run was killed is as sound as one whose run has ended. Its
    policy allows its own script and style by their digests, and nothing from anywhere.
    """
    script = "\n".join(_module(name) for name in MODULES)
    style = "\n".join(static_file(name).decode() for name in STYLES)
    policy = POLICY.format(script=_digest(script), style=_digest(style))
    page = static_file("report.html").decode()
    for mark, text in (("POLICY", policy), ("STYLE", style), ("SCRIPT", script)):
        page = page.replace(f"%{mark}%", text)
    return page.encode()


def _module(name: str) -> str:
    """A module as a part of one script: what the others export is there."""
    return _EXPORT.sub("", _IMPORT.sub("", static_file(name).decode()))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def compact(row: Mapping[str, Any], *, explain: bool) -> dict[str, Any]:
    """What the page needs of a row.

    ``label`` and ``score`` say what was answered and how surely: the best class, or the least sure
    of the objects that were found. A result that is a mask or a heat map becomes a ``grid`` of
    small numbers, and one that is too long ``cut``, its beginning as text.

    Args:
        row: The row, with its preview.
        explain: The results are explanations: a grid is a heat map, and no mask.
    """
    found = {name: value for name, value in row.items() if name not in {"result", "streamed"}}
    if row.get("streamed"):
        found["streamed"] = _brief(row["streamed"])
    if "result" not in row:
        return found
    result = row["result"]
    scores = found_in(result)
    if scores:
        objects = any(one.more for one in scores)
        chosen = min(scores, key=_score) if objects else max(scores, key=_score)
        found |= {"score": chosen.score}
        found["label"] = _counted([one.label for one in scores]) if objects else chosen.label
    elif (label := answer_of(result)) is not None:
        found["label"] = label
        if isinstance(result, Mapping):
            found["score"] = result[label]
    grid = _grid(result, explain=explain)
    return found | ({"result": _shown(result)} if grid is None else {"grid": grid})


def _score(one: Any) -> float:
    return float(one.score)


def _counted(labels: list[str]) -> str:
    counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
    return ", ".join(label if count == 1 else f"{count} {label}" for label, count in counts.items())


def _shown(result: Any) -> Any:
    """A result, its pictures small, numbers of heat maps left out; its beginning if it is long."""
    if isinstance(result, Mapping):
        result = {
            name: _smaller(value)
            for name, value in result.items()
            if not (name == "attributions" and "heatmap" in result)
        }
        result = _smaller(result)
    return _brief(result)


def _smaller(value: Any) -> Any:
    """A picture in base64 made small; anything else as it is."""
    text = value.get("base64") if isinstance(value, Mapping) and len(value) == 1 else None
    if not isinstance(text, str) or len(text) <= PICTURE:
        return value
    picture = small_picture(base64.b64decode(text), side=SIDE)
    return {"base64": picture["picture"]} if picture and "picture" in picture else value


def _brief(value: Any) -> Any:
    """A value; of a long one with fewer digits, or its beginning."""
    text = json.dumps(value, ensure_ascii=False)
    limit = LONGEST + (2 * PICTURE if '"base64"' in text else 0)
    if len(text) <= limit:
        return value
    value = _rounded(value)
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= limit else {"cut": text[:CUT], "length": len(text)}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _grid(result: Any, *, explain: bool) -> dict[str, Any] | None:
    """A mask or a heat map in bytes, deflated: its shape, and whether the numbers have signs."""
    shape = _shape(result)
    if len(shape) not in {2, 3}:
        return None
    import numpy as np

    try:
        numbers = np.asarray(result, dtype="float32")
    except (ValueError, TypeError):  # ragged, or "NaN" among the numbers
        return None
    heat = explain
    if numbers.ndim > 2 and numbers.shape[2] == 2 and not explain:  # noqa: PLR2004
        numbers = numbers[..., 0]  # a class and its share
    elif numbers.ndim > 2:  # noqa: PLR2004 - what counted at a pixel is the sum over its channels
        numbers, heat = numbers.sum(0 if shape[0] <= CHANNELS < shape[2] else 2), True
    if min(numbers.shape) < GRID:
        return None
    step = max(1, -(-max(numbers.shape) // SIDE))
    small = _levels(np.nan_to_num(numbers[::step, ::step]), signed=heat)
    packed = base64.b64encode(zlib.compress(small.tobytes())).decode("ascii")
    return {"data": packed, "height": small.shape[0], "width": small.shape[1], "signed": heat}


def _levels(numbers: Any, *, signed: bool) -> Any:
    """Numbers in a byte each: classes as they are, heat as a share of the strongest."""
    import numpy as np

    if not signed:
        return np.clip(numbers.round(), 0, 255).astype("uint8")
    sizes = np.abs(numbers)
    strongest = float(np.quantile(sizes, 0.99)) or float(sizes.max()) or 1.0
    return np.clip(numbers / strongest * LEVELS, -LEVELS, LEVELS).round().astype("int8")


def _shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists of numbers by their first items; empty for anything else."""
    shape: list[int] = []
    while isinstance(value, list) and value:
        shape.append(len(value))
        value = value[0]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return tuple(shape) if is_number else ()
