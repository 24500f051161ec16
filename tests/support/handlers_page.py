"""The tables of options in docs/reference/handlers, made from the built-in handlers.

``python tests/support/handlers_page.py`` writes them again.
"""

from __future__ import annotations

import re
from pathlib import Path

from builtin_handlers.options import OPTIONS

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference" / "handlers"
PROFILE = (
    "profile", "`true` or `false`", "`false`",
    "whether to record how long each method takes, as the metric `ts_handler_NAME`",
)  # fmt: skip
_TABLE = re.compile(r"(<!-- options -->\n).*?(<!-- end -->\n)", re.DOTALL)


def table(name: str) -> str:
    """The options of one handler."""
    own = [(one.name, one.takes, one.default, one.what) for one in OPTIONS[name]]
    rows = [
        f"| `{key}` | {takes} | {default} | {what} |"
        for key, takes, default, what in (*own, PROFILE)
    ]
    return "\n".join(
        ["| key | takes | without it | what it is |", "| --- | --- | --- | --- |", *rows, ""]
    )


def written(name: str, text: str) -> str:
    """A page with its options as the code has them."""
    return _TABLE.sub(lambda match: f"{match[1]}{table(name)}{match[2]}", text)


if __name__ == "__main__":
    for path in FOLDER.glob("*.md"):
        path.write_text(written(path.stem, path.read_text(encoding="utf-8")), encoding="utf-8")
