"""The modules that an archive's code imports, read from its text; nothing of it runs."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.handlers.installed import is_installed

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from mar_core.checks.subject import Subject

__all__ = ["Import", "imports_of"]

_MISSING = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
_NEVER_RUN = ("__name__ == '__main__'", "TYPE_CHECKING", "typing.TYPE_CHECKING")


@dataclass(frozen=True, slots=True)
class Import:
    """One import of a module that is not the archive's own.

    Attributes:
        module: The module's full name.
        member: The member that imports it.
        line: Where.
        certain: Whether it happens whenever the member is imported.
    """

    module: str
    member: str
    line: int
    certain: bool

    @property
    def where(self) -> str:
        """Where it stands, in words."""
        return f"{self.member} (line {self.line})"


def imports_of(subject: Subject) -> Iterator[Import]:
    """What the handler, the model file, and the archive's modules that they import, import.

    Left out are the standard library, what ``except ImportError`` guards, and what never runs.

    Args:
        subject: The archive.
    """
    handler = subject.handler.member if subject.handler else None
    todo = [(m, True) for m in (handler, subject.manifest.model_file) if m]
    seen = set()
    while todo:
        member, certain = todo.pop(0)
        if member in seen or member not in subject.archive.members:
            continue
        seen.add(member)
        for found in _of_member(subject, member):
            sure = certain and found.certain
            inside = _inside(found.module, subject.archive.members)
            if inside:
                todo.extend((name, sure) for name in inside)
            elif found.module.partition(".")[0] not in sys.stdlib_module_names:
                yield Import(found.module, member, found.line, sure)


def _of_member(subject: Subject, member: str) -> Iterator[Import]:
    if subject.module(member) is None:  # no Python: the rules have said so
        return
    package = member.split("/")[:-1]
    for node, certain in _statements(ast.parse(subject.archive.read(member)).body):
        for module in _named(node, package):
            yield Import(module, member, node.lineno, certain)


def _named(node: ast.Import | ast.ImportFrom, package: list[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    above = package[: len(package) - node.level + 1] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    if not node.level:
        yield base
    elif package:
        # A relative import is the archive's own: `from . import shapes`, `from .shapes import Box`.
        yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _statements(
    body: list[ast.stmt], *, certain: bool = True
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement below a body, and whether it always runs."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, certain
        elif isinstance(node, ast.Try):
            yield from _of_try(node, certain=certain)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in _NEVER_RUN:
            yield from _statements(node.orelse, certain=certain)
        else:
            always = isinstance(node, (ast.ClassDef, ast.With))
            for part in ("body", "orelse", "handlers", "cases"):
                inner = [child for child in getattr(node, part, []) if isinstance(child, ast.AST)]
                flat = [s for child in inner for s in _flattened(child)]
                yield from _statements(flat, certain=certain and always)


def _flattened(child: ast.AST) -> list[ast.stmt]:
    """A statement, or the statements of an ``except`` or a ``case``."""
    return [child] if isinstance(child, ast.stmt) else getattr(child, "body", [])


def _of_try(node: ast.Try, *, certain: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    guarded = any(
        handler.type is None or any(name in ast.unparse(handler.type) for name in _MISSING)
        for handler in node.handlers
    )
    if not guarded:
        yield from _statements(node.body, certain=certain)
        for handler in node.handlers:
            yield from _statements(handler.body, certain=False)
    yield from _statements([*node.orelse, *node.finalbody], certain=certain and not guarded)


def _inside(module: str, members: Container[str]) -> list[str]:
    """The members that importing a module imports, when it is the archive's own."""
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names:
        return []
    found = []
    for depth in range(1, len(parts) + 1):
        stem = "/".join(parts[:depth])
        found += [name for name in (f"{stem}/__init__.py", f"{stem}.py") if name in members]
    own = f"{parts[0]}/__init__.py" in members or f"{parts[0]}.py" in members
    return found if own or (found and not is_installed(parts[0])) else []
