"""``--output report.html``: a page of the run for people, written as the run goes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.records import Writer
from mar_core.run.report import static_file
from mar_core.run.report.compact import compact
from mar_core.run.writers.rows import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mar_core.records import RunSummary, WriteOptions

__all__ = ["ReportWriter", "begin_page"]

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
