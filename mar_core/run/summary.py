"""What a run came to, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.text import plural

if TYPE_CHECKING:
    from mar_core.records import RunSummary

__all__ = ["summary_lines"]

_ORDER = ("read", "initialize", "preprocess", "inference", "postprocess", "explain", "write")
_MINUTE = 60
_SECOND = 1.0
# What took less is not worth a word.
SHOWN = 0.0005


def summary_lines(summary: RunSummary) -> list[str]:
    """The end of a run in words: inputs, errors by kind, rate, where the time went."""
    rate = f", {summary.total / summary.seconds:,.1f} a second" if summary.seconds else ""
    before = f", {summary.failed_before:,} of them failed" if summary.failed_before else ""
    skipped = f", {summary.skipped:,} done before{before}" if summary.skipped else ""
    done = (
        f"{summary.total:,} {plural(summary.total, 'input')} in {_seconds(summary.seconds)}{rate}"
    )
    ended = f"{summary.succeeded:,} succeeded, {summary.failed:,} failed{skipped}"
    lines = [f"{summary.model}: {done}; {ended}"]
    if summary.judged:
        share = summary.right / summary.judged
        lines.append(f"  right: {summary.right:,} of {summary.judged:,}, {share:.1%}")
    lines += [f"  {number:,} x {kind}" for kind, number in summary.errors.most_common()]
    spent = [
        f"{stage} {_seconds(summary.stage_seconds[stage])}"
        for stage in _ORDER
        if summary.stage_seconds.get(stage, 0.0) >= SHOWN
    ]
    if spent:
        lines.append(f"  time: {', '.join(spent)}")
    return lines


def _seconds(seconds: float) -> str:
    if seconds < _SECOND:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s"
