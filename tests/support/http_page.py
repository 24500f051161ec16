"""The tables of docs/reference/http-api.md, made from the table of the server's paths.

``python tests/support/http_page.py`` writes them again.
"""

from __future__ import annotations

import re
from pathlib import Path

from mar_serve.api import INFERENCE, MANAGEMENT, METRICS, OPERATIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "http-api.md"
LISTENERS = (INFERENCE, MANAGEMENT, METRICS)
TABLE = re.compile(r"<!-- (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def written(text: str) -> str:
    """The page with its tables as they must be."""
    return TABLE.sub(lambda found: table(found[1]), text)


def table(listener: str) -> str:
    """The paths of one address."""
    rows = [
        f"| {', '.join(operation.methods)} | {'<br>'.join(f'`{p}`' for p in operation.paths)} | "
        f"{operation.summary} |"
        for operation in OPERATIONS
        if operation.listener == listener
    ]
    lines = ["| method | path | |", "| --- | --- | --- |", *rows]
    return "\n".join([f"<!-- {listener} -->", *lines, "<!-- end -->"])


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
