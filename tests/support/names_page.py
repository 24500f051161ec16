"""The lists of names in docs/reference/torchserve-compatibility.md, made from the code.

``python tests/support/names_page.py`` writes them again.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.ts import compat

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "torchserve-compatibility.md"
TORCHSERVE = Path(sys.prefix) / "torchserve"
_OURS = {"HANDLER_METHODS", "logger"}  # of no use to handlers
_LISTS = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def written(text: str) -> str:
    """The page with its lists as the code has them."""
    return _LISTS.sub(lambda match: f"{match[1]}{LISTS[match[2]]()}{match[3]}", text)


def _names() -> str:
    rows = [f"| `{name}` | {_public(name)} |" for name in compat._HOMES]
    return "\n".join(["| module | names |", "| --- | --- |", *rows, ""])


def _public(name: str) -> str:
    """What TorchServe's own module defines and ours has, too."""
    path = TORCHSERVE.joinpath(*name.split(".")).with_suffix(".py")
    defined = _defined(ast.parse(path.read_text(encoding="utf-8")).body)
    ours = compat.load(name)
    found = sorted(
        {one for one in defined if one[0] != "_" and one not in _OURS and hasattr(ours, one)}
    )
    return ", ".join(f"`{one}`" for one in found) or "`__version__`"


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, (ast.If, ast.Try)):
            yield from _defined([*node.body, *node.orelse])
        elif isinstance(node, ast.ImportFrom) and node.module == "ts.handler_utils.utils":
            yield from (alias.name for alias in node.names)


def _absent() -> str:
    rows = [f"| `{name}` | {hint} |" for name, hint in sorted(compat._ABSENT.items())]
    return "\n".join(["| module | in its place |", "| --- | --- |", *rows, ""])


LISTS = {"names": _names, "absent": _absent}


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
