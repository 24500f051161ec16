"""Makes the table of docs/reference/weights.md of the formats."""

from __future__ import annotations

from pathlib import Path

from mar_core.weights import WeightsFormat, weights_formats

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "weights.md"
MARK = "<!-- The table is made of the formats: python tests/support/weights_page.py -->\n"


def page() -> str:
    """The whole page, with the table as it must be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARK)
    after = rest.lstrip("\n").partition("\n\n")[2]
    return f"{before}{MARK}\n{table()}\n\n{after}"


def table() -> str:
    """A row for each format that something writes."""
    head = "| format | written by | `--model-file` | loading it is | how it is loaded |"
    rows = [_row(row) for row in weights_formats() if row.written_by]
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *sorted(rows)])


def _row(row: WeightsFormat) -> str:
    needed = "not needed" if row.carries_structure else "needed" if row.load else ""
    trust = "Python" if row.trust.value == "python" else row.trust.value
    return f"| {row.name} | {row.written_by} | {needed} | {trust} | {row.loaded_by} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
