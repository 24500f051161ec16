"""What people see on a terminal: a table of results, or one result with all its detail."""

from __future__ import annotations

import binascii
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mar_core.run.shapes import found_in, label_scores
from mar_core.run.writers.base import Output
from mar_core.runtime.values import as_file, to_json
from mar_core.text import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType
    from rich.table import Table

    from mar_core.records import Failure, Outcome, WriteOptions
    from mar_core.run.shapes import Found
    from mar_core.runtime.values import Save

__all__ = ["TerminalOutput", "brief", "describe_blob", "error_line", "one_line", "percent"]

ROWS_FOR_WIDTHS = 40
PATIENCE = 0.5
BAR = 24
MOST_BARS = 20
LONGEST_DOCUMENT = 4096
SMALL = 32
OK = 200
LONGEST = 200
LABELS = 3
ITEMS = 8


class TerminalOutput(Output):
    """Shows results on a terminal: a table as they come, or one alone in full.

    Args:
        console: Where to show them.
        save_for: Makes, for an id, what puts bytes, tensors and pictures into files; without it
            they are described.
        options: How results are written.
    """

    def __init__(
        self,
        console: Console,
        *,
        save_for: Callable[[str], Save] | None = None,
        options: WriteOptions | None = None,
    ) -> None:
        super().__init__(save_for=save_for or (lambda _: describe_blob), options=options)
        self._console = console
        self._waiting: list[Outcome] = []
        self._since = 0.0
        self._widths: tuple[int, int] | None = None

    def _put(self, outcomes: list[Outcome]) -> None:
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting += outcomes
        late = time.monotonic() - self._since > PATIENCE
        begun = self._widths is not None
        if begun or len(self._waiting) >= ROWS_FOR_WIDTHS or (late and len(self._waiting) > 1):
            self.flush()

    def flush(self) -> None:
        """Show what has come."""
        if self._waiting:
            self._console.print(self._table(self._waiting))
            self._waiting = []

    def close(self, *, finished: bool = True) -> None:  # noqa: ARG002 - shown is shown
        """Show what is left; a single result in full."""
        if self._widths is None and len(self._waiting) == 1:
            self._console.print(one_result(self._waiting.pop()))
        self.flush()

    def _table(self, outcomes: list[Outcome]) -> Table:
        from rich import box
        from rich.table import Table

        first = self._widths is None
        if self._widths is None:
            self._widths = self._measure(outcomes)
        table = Table(box=box.SIMPLE_HEAD, show_header=first, pad_edge=False)
        table.show_edge = False
        names, results = self._widths
        table.add_column("input", width=names, overflow="fold")
        table.add_column("result", width=results, overflow="fold")
        for outcome in outcomes:
            table.add_row(one_line(outcome.id), *_cells(outcome))
        return table

    def _measure(self, outcomes: list[Outcome]) -> tuple[int, int]:
        space = self._console.width - 4
        names = max(len(one_line(outcome.id)) for outcome in outcomes)
        names = min(max(names, len("input")), max(space // 2, 10))
        return names, max(space - names, 10)


def one_result(outcome: Outcome) -> RenderableType:
    """One outcome in full: labels with bars, text as it is, anything else as JSON.

    Of things that more is said of, such as segments and words, each has a line.
    """
    from rich.console import Group
    from rich.text import Text

    heading = Text(one_line(outcome.id), style="bold")
    if outcome.failure is not None:
        return Group(heading, Text(f"  {error_line(outcome.failure)}", style="red"))
    answer = _answer(outcome)
    found = found_in(answer)
    if found:
        found = sorted(found, key=lambda one: -one.score)
        told = any(one.more.keys() - {"box"} for one in found)
        return Group(heading, _things(found) if told else _bars(found))
    if isinstance(answer, str):
        return Group(heading, Text("\n".join(one_line(line) for line in answer.splitlines())))
    document = json.dumps(answer, indent=2, ensure_ascii=False)
    short = isinstance(answer, list) or len(document) > LONGEST_DOCUMENT
    return Group(heading, Text(brief(answer) if short else printable_lines(document)))


def describe_blob(value: Any, where: str) -> Any:
    """A tensor, array, picture or bytes in words; a small tensor or array with its numbers."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value):,} bytes"
    if not hasattr(value, "dtype"):
        return f"picture {value.mode} {value.width}x{value.height}"
    if value.ndim == 1 and len(value) <= SMALL:
        return to_json(value, where=where)
    kind = str(value.dtype).removeprefix("torch.")
    return f"{kind} {'x'.join(str(length) for length in value.shape)}"


def _cells(outcome: Outcome) -> list[Any]:
    from rich.text import Text

    if outcome.failure is not None:
        return [Text(error_line(outcome.failure), style="red")]
    status = "" if outcome.response.status == OK else f"({outcome.response.status}) "
    return [Text(f"{status}{brief(_answer(outcome))}")]


def _answer(outcome: Outcome) -> Any:
    """The result; behind the chunks that came before it where all of them are text."""
    parts = [*outcome.streamed, outcome.result]
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    return _without_blobs(outcome.result)


def _without_blobs(value: Any) -> Any:
    """A result in which bytes, in base64 as workers send them, are a word of how many there are."""
    if isinstance(value, list):
        return [_without_blobs(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"base64"} and isinstance(value["base64"], str):
        try:
            content, ending, _ = as_file(binascii.a2b_base64(value["base64"], strict_mode=True))
        except ValueError:
            return value
        kind = "" if ending == ".bin" else f" ({ending})"
        return f"{len(content):,} bytes{kind}"
    return {name: _without_blobs(one) for name, one in value.items()}


def _things(found: list[Found]) -> Table:
    """Things that more is said of: several may have one label, and their scores are no shares."""
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for one in found[:MOST_BARS]:
        more = "; ".join(f"{one_line(name)} {brief(value)}" for name, value in one.more.items())
        table.add_row(one_line(one.label), percent(one.score), more)
    if len(found) > MOST_BARS:
        table.add_row(f"{len(found) - MOST_BARS} more")
    return table


def _bars(scores: list[Found]) -> Table:
    from rich.bar import Bar
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(width=BAR)
    table.add_column(justify="right")
    for one in scores[:MOST_BARS]:
        bar = Bar(1.0, 0.0, one.score, width=BAR, color="green")
        table.add_row(one_line(one.label), bar, percent(one.score))
    if len(scores) > MOST_BARS:
        table.add_row(f"{len(scores) - MOST_BARS} more")
    return table


def brief(value: Any) -> str:
    """A result as ``to_json`` gave it, in one line."""
    scores = label_scores(value)
    if scores:
        shown = [f"{one_line(label)} {percent(score)}" for label, score in scores[:LABELS]]
        more = len(scores) - len(shown)
        return ", ".join([*shown, f"{more} more"] if more else shown)
    if isinstance(value, list):
        return _items(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping) and "file" in value:
        value = value["file"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _cut(one_line(text))


def error_line(failure: Failure) -> str:
    """A failure in one line: the sentence, and where it happened unless the input was not read."""
    message = one_line(failure.message)
    if failure.stage == "read":
        return message
    if failure.stage == "response":
        said = "" if message == failure.type else f": {message}"
        return f"{failure.code} {failure.type}{said}"
    return f"{failure.type} in {failure.stage}: {message}"


def percent(score: float) -> str:
    """A score from 0 to 1 in percent."""
    return f"{score:.1%}"


def one_line(text: str) -> str:
    """Text without line breaks, safe on a terminal."""
    return printable(" ".join(text.split()))


def _items(value: list[Any]) -> str:
    shown = [_items(item) if isinstance(item, list) else brief(item) for item in value[:ITEMS]]
    more = len(value) - len(shown)
    if more:
        shown.append(f"… {more} more")
    return _cut(f"[{', '.join(shown)}]")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
