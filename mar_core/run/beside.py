"""What goes into rows beside results: columns of inputs, what they really are, their previews."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

from mar_core.errors import MarWarning
from mar_core.run.previews import Previewed, Previews
from mar_core.run.truth import TRUTH, answer_of
from mar_core.text import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.records import Input, Outcome, RunSummary
    from mar_core.run.truth import Truth

__all__ = ["Beside"]


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
