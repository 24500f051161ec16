"""Families and samples as Prometheus' client and TorchServe's log write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mar_serve.log import escaped
from mar_serve.stats import Buckets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric as Family

__all__ = ["chosen", "family", "histogram", "line", "plain", "text_of"]


def family(name: str, kind: str, text: str, samples: Iterable[tuple[Any, Any]]) -> Family:
    """A family whose samples have its own name."""
    from prometheus_client import Metric as Family

    made = Family(name, text, kind)
    for labels, value in samples:
        made.add_sample(name, labels, float(value))
    return made


def histogram(name: str, text: str, series: Iterable[tuple[dict[str, str], Any]]) -> Family:
    """A family of histograms."""
    from prometheus_client import Metric as Family

    made = Family(name, text, "histogram")
    for labels, buckets in series:
        if not isinstance(buckets, Buckets):
            continue
        for bound, count in buckets.cumulative():
            made.add_sample(f"{name}_bucket", {**labels, "le": bound}, count)
        made.add_sample(f"{name}_count", labels, float(sum(buckets.counts)))
        made.add_sample(f"{name}_sum", labels, buckets.total)
    return made


def chosen(families: Iterable[Family], names: frozenset[str]) -> Iterator[Family]:
    """The families, or samples of them, that have these names; all where there are none."""
    for one in families:
        if not names or one.name in names:
            yield one
        elif any(sample.name in names for sample in one.samples):
            one.samples = [sample for sample in one.samples if sample.name in names]
            yield one


def text_of(families: Iterable[Family]) -> bytes:
    """The families in Prometheus' text format 0.0.4, as TorchServe's server lays it out.

    The client library ends the heads of counters in ``_total`` and sorts labels; what reads
    TorchServe's metrics with patterns expects neither, and a comma behind the last label.
    """
    from prometheus_client.utils import floatToGoString

    lines = []
    for one in families:
        text = one.documentation.replace("\\", "\\\\").replace("\n", "\\n")
        lines += [f"# HELP {one.name} {text}", f"# TYPE {one.name} {one.type}"]
        for sample in one.samples:
            pairs = "".join(f'{name}="{_quoted(value)}",' for name, value in sample.labels.items())
            labels = f"{{{pairs}}}" if pairs else ""
            value = floatToGoString(sample.value)  # type: ignore[no-untyped-call]
            lines.append(f"{sample.name}{labels} {value}")
    return "".join(f"{line}\n" for line in lines).encode()


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def plain(name: str) -> str:
    """A name that Prometheus takes."""
    letters = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{letters}" if not letters or letters[0].isdigit() else letters


def line(name: str, labels: dict[str, str], value: float, hostname: str, now: int) -> str:
    """A sample as TorchServe's log has it, with nothing in it that a terminal would obey."""
    dimensions = ",".join(
        f"{label}:{text}" for label, text in labels.items() if label.lower() != "hostname"
    )
    return escaped(f"{name}:{value}|#{dimensions}|#hostname:{hostname},timestamp:{now}")
