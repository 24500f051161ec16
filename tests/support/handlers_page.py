"""The tables of options and signatures in docs/reference/handlers, made from the built-in handlers.

``python tests/support/handlers_page.py`` writes them again.
"""

from __future__ import annotations

import re
from pathlib import Path

from builtin_handlers.options import OPTIONS
from mar_core import Manifest, Signature
from mar_core.format.sources import Sources
from mar_core.signature.declared import declared

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference" / "handlers"
PROFILE = (
    "profile", "true or false", "false",
    "whether to record how long each method takes, as the metric `ts_handler_NAME`",
)  # fmt: skip
_SIGNATURE = re.compile(r"(<!-- signature -->\n).*?(<!-- end -->\n)", re.DOTALL)
_TABLE = re.compile(r"(<!-- options -->\n).*?(<!-- end -->\n)", re.DOTALL)


def table(name: str) -> str:
    """The options of one handler."""
    own = [(key, one.takes, one.default, one.what) for key, one in OPTIONS[name].items()]
    rows = [
        f"| `{key}` | {takes} | {default} | {what} |"
        for key, takes, default, what in (*own, PROFILE)
    ]
    return "\n".join(
        ["| key | takes | without it | what it is |", "| --- | --- | --- | --- |", *rows, ""]
    )


def signature(name: str) -> str:
    """What one handler declares that it takes and gives."""
    manifest = Manifest({"model": {"modelName": name, "handler": name}})
    found = declared(Sources(manifest, {}), manifest) or Signature()
    rows = [
        f"| {what} | `{one.name}` | `{one}` | {one.description} |"
        for what, fields in (("takes", found.inputs), ("gives", found.outputs))
        for one in fields
    ]
    head = ["| | name | type | what it is |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows, ""] if rows else ["None: it is the network that says.", ""])


def written(name: str, text: str) -> str:
    """A page with its options and its signature as the code has them."""
    text = _TABLE.sub(lambda match: f"{match[1]}{table(name)}{match[2]}", text)
    return _SIGNATURE.sub(lambda match: f"{match[1]}{signature(name)}{match[2]}", text)


if __name__ == "__main__":
    for path in FOLDER.glob("*.md"):
        path.write_text(written(path.stem, path.read_text(encoding="utf-8")), encoding="utf-8")
