"""The table of keys in docs/reference/config-properties.md, made from the program.

``python tests/support/keys_page.py`` writes it again.
"""

from __future__ import annotations

import re
from pathlib import Path

from mar_torchserve.keys import KEYS, VARIABLES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "config-properties.md"
_TABLE = re.compile(r"(<!-- keys -->\n).*?(<!-- end -->\n)", re.DOTALL)


def written(text: str) -> str:
    """The page with its table as the program has it."""
    return _TABLE.sub(lambda match: f"{match[1]}{_table()}{match[2]}", text)


def _table() -> str:
    rows = ["| key | value | what it does here | in the environment |", "| --- | --- | --- | --- |"]
    for key in KEYS:
        effect = key.effect if key.honoured else f"Nothing: it {key.effect}."
        variable = f"`{VARIABLES[key.name]}`" if key.name in VARIABLES else ""
        rows.append(f"| `{key.name}` | {key.kind} | {effect} | {variable} |")
    return "\n".join([*rows, ""])


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
