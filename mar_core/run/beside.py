"""What goes into rows beside results: columns of inputs, what they really are, their previews."""

from __future__ import annotations

import csv
import dataclasses
import posixpath
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import MarWarning, UsageError
from mar_core.run.previews import Previewed, Previews
from mar_core.run.shapes import label_scores
from mar_core.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.records import Input, Outcome, RunSummary

__all__ = ["FOLDER", "TRUTH", "Beside", "Truth", "answer_of"]


# The word that stands for the folder's name, and the column that rows have the truth in.
FOLDER = "folder"
TRUTH = "truth"
_TABLES = (".csv", ".tsv")
_IDS = ("id", "file", "filename", "file_name", "path", "image", "input", "name")
_LABELS = ("label", "truth", "class", "target", "category", "y")
LONGEST = 1000


class Truth:
    """Says of an input what it really is.

    Args:
        word: A table of labels (``labels.csv``: a column with ids, paths or names of files, and one
            with labels), ``folder``, or the name of a column of the inputs.

    Attributes:
        column: The column of the inputs that says it, or None.

    Raises:
        UsageError: The table cannot be read.
    """

    def __init__(self, word: str) -> None:
        path = self.path_of(word)
        self._by_folder = word == FOLDER
        self.column = self.column_of(word)
        self._labels = {} if path is None else _table(Path(path))

    @staticmethod
    def path_of(word: str | None) -> str | None:
        """The table of labels that a word names, or None."""
        return word if word is not None and word.lower().endswith(_TABLES) else None

    @staticmethod
    def column_of(word: str | None) -> str | None:
        """The column of the inputs that a word names, or None."""
        return None if word == FOLDER or Truth.path_of(word) is not None else word

    def of(self, name: str, kept: Mapping[str, Any]) -> str | None:
        """The true label of an input, or None where it has none.

        Args:
            name: The input's id.
            kept: The columns of it that were asked for.
        """
        if self.column is not None:
            found = kept.get(self.column)
            return None if found is None or found == "" else str(found)
        inner = name.partition("!")[2] or name
        if self._by_folder:
            return posixpath.basename(posixpath.dirname(posixpath.normpath(inner))) or None
        return next((self._labels[one] for one in _names(name, inner) if one in self._labels), None)


def answer_of(result: Any) -> str | None:
    """The label that a result gives: its most probable one, or the result itself where it is short.

    Args:
        result: A result as JSON has it.
    """
    scores = label_scores(result)
    if scores:
        return scores[0][0]
    if isinstance(result, dict) and len(result) == 1:
        ((label, score),) = result.items()
        return label if isinstance(score, float) and 0 <= score <= 1 else None
    if isinstance(result, bool) or not isinstance(result, (str, int)):
        return None
    text = str(result).strip()
    return text if 0 < len(text) <= LONGEST else None


def _names(name: str, inner: str) -> tuple[str, ...]:
    """How a table may call an input, the surest first."""
    short = posixpath.basename(inner)
    return name, inner, posixpath.normpath(inner), short, short.rpartition(".")[0]


def _table(path: Path) -> dict[str, str]:
    said = printable(str(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
            rows = csv.reader(stream, delimiter=delimiter)
            heading = next(rows, [])
            places = _places(heading, said)
            return {row[places[0]]: row[places[1]] for row in rows if len(row) == len(heading)}
    except OSError as error:
        raise UsageError(
            f"{said} cannot be read: {(error.strerror or str(error)).rstrip('.')}.",
            hint="--truth names a table of labels, `folder`, or a column of the inputs.",
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{said} is no sound table: {error}.") from error


def _places(heading: list[str], said: str) -> tuple[int, int]:
    """Where a table has its ids and its labels: by the columns' names, else the first two."""
    columns = len(heading)
    if columns < 2:  # noqa: PLR2004 - an id and a label
        raise UsageError(
            f"{said} has {columns or 'no'} column{'s' if not columns else ''}.",
            hint="A table of labels has a heading, a column with files and one with labels.",
        )
    lower = [name.strip().lower() for name in heading]
    label = next((lower.index(name) for name in _LABELS if name in lower), None)
    name = next((lower.index(one) for one in _IDS if one in lower), None)
    if name is None:
        name = 0 if label != 0 else 1
    if label is None:
        label = 1 if name != 1 else 0
    return name, label


class Beside:
    """Keeps of each input under way what its row will have beside the result.

    Args:
        keep: The columns to carry along.
        truth: Says what the inputs really are.
        previews: Whether rows have previews.
        done: How many inputs an earlier run has done.
    """

    def __init__(
        self, *, keep: tuple[str, ...], truth: Truth | None, previews: bool, done: int
    ) -> None:
        self._keep = keep
        self._truth = truth
        self._previews = Previews(done) if previews else None
        self._kept: dict[str, Mapping[str, Any]] = {}
        self._watched: dict[str, Previewed] = {}
        self._asked = self._unknown = 0

    def watched(self, source: Input) -> Input:
        """The input to run in place of one, so that nothing is read twice."""
        kept = {name: value for name, value in source.kept.items() if name in self._keep}
        if self._truth is not None:
            found = self._truth.of(source.id, source.kept)
            self._asked += 1
            self._unknown += found is None
            kept |= {} if found is None else {TRUTH: found}
        if kept:
            self._kept[source.id] = kept
        if self._previews is None:
            return source
        watched = self._watched[source.id] = Previewed(source.read, self._previews)
        return dataclasses.replace(source, read=watched)

    def take(self, name: str) -> dict[str, dict[str, Any]]:
        """What goes beside the result of an input, by its id; it is forgotten here."""
        kept, watched = self._kept.pop(name, None), self._watched.pop(name, None)
        found: dict[str, Any] = {}
        if kept:
            found["input"] = dict(kept)
        if watched is not None and (preview := watched.preview()) is not None:
            found["preview"] = preview
        return {name: found} if found else {}

    def judge(self, summary: RunSummary, outcome: Outcome, beside: Mapping[str, Any]) -> None:
        """Count whether a result is what its input really is."""
        truth = beside.get(outcome.id, {}).get("input", {}).get(TRUTH)
        if self._truth is None or truth is None or outcome.failure is not None:
            return
        summary.judged += 1
        summary.right += answer_of(outcome.result) == truth

    def close(self) -> None:
        """Say when inputs have no true label, though somebody asked for it."""
        if self._previews is not None:
            self._previews.close()
        if self._unknown:
            warnings.warn(
                f"{self._unknown:,} of {self._asked:,} {plural(self._asked, 'input')} without a "
                "true label by --truth.",
                MarWarning,
                stacklevel=2,
            )
