"""The project's own source tree, for tests that look at it."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mar_core", "builtin_handlers")


def sources(*folders: str) -> list[Path]:
    """Every Python file below these folders of the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def plugin_sources() -> list[Path]:
    """Every Python file that a first-party plugin ships."""
    return sorted(ROOT.glob("plugins/*/src/**/*.py"))


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """``mar_core/cli/run.py`` is ``mar_core.cli.run``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[3:] if parts[0] == "plugins" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, inside_functions: bool) -> Iterator[tuple[int, str]]:
    """What a file imports at run time: line and dotted name, one for each name of a ``from``.

    Args:
        path: The file.
        inside_functions: Whether imports inside functions count.
    """
    yield from _imports(parsed(path).body, inside_functions=inside_functions)


def all_imports(path: Path) -> Iterator[tuple[int, str]]:
    """The same with those for types alone."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _imports([node], inside_functions=True)


def passed_on(path: Path) -> Iterator[tuple[str, str]]:
    """The names that a package has for others, loaded when they are used, and where they stand."""
    if path.name != "__init__.py":
        return
    for node in parsed(path).body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for one in node.body:
                if isinstance(one, ast.ImportFrom):
                    for alias in one.names:
                        if alias.asname == alias.name:  # `import A as A`: it is public here
                            yield f"{module_name(path)}.{alias.name}", f"{one.module}.{alias.name}"


def _imports(body: list[ast.stmt], *, inside_functions: bool) -> Iterator[tuple[int, str]]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(node.orelse, inside_functions=inside_functions)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inside_functions:
            continue
        else:
            inner = [
                child
                for name in ("body", "orelse", "finalbody")
                for child in getattr(node, name, [])
            ]
            inner += [child for handler in getattr(node, "handlers", []) for child in handler.body]
            inner += [child for case in getattr(node, "cases", []) for child in case.body]
            yield from _imports(inner, inside_functions=inside_functions)
