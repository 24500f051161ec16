"""Whether the file that defines a network's class makes the network again, wherever it lies."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.handlers.source import Module, parse_module

if TYPE_CHECKING:
    import torch

__all__ = ["NoSource", "source_file"]

_QUIET = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Pass)
_VALUES = (ast.Expr, ast.Assign, ast.AnnAssign)
_MAIN = "__name__ == '__main__'"


class NoSource(Exception):  # noqa: N818 - a reason, which is told
    """Why a network cannot be made again from the file of its class."""


def source_file(model: torch.nn.Module) -> Path:
    """The file that defines a network's class, where that file alone makes it again.

    Args:
        model: The network.

    Raises:
        NoSource: It does not, as far as its text and the class show; the reason.
    """
    cls = type(model)
    path = _file_of(cls)
    if cls.__qualname__ != cls.__name__:
        raise NoSource(f"{cls.__name__} is defined inside of something else")
    needed = _required(cls)
    if needed:
        raise NoSource(f"{cls.__name__} is made with arguments ({needed})")
    source = path.read_bytes()
    parsed = parse_module(source)
    if not isinstance(parsed, Module):
        raise NoSource(f"{path.name} cannot be parsed")
    networks = _networks(cls, parsed)
    if networks != [cls.__name__]:
        raise NoSource(f"{path.name} defines {len(networks)} networks")
    _check_statements(ast.parse(source), path.name)
    _check_imports(parsed, path.name)
    return path


def _file_of(cls: type) -> Path:
    try:
        file = inspect.getsourcefile(cls)
    except (TypeError, OSError):
        file = None
    if file is None or not Path(file).is_file():
        raise NoSource(f"{cls.__name__} is defined in no file")
    if _is_installed(Path(file)) or "." in cls.__module__:
        raise NoSource(f"{cls.__name__} belongs to the package {cls.__module__.split('.')[0]}")
    return Path(file)


def _is_installed(path: Path) -> bool:
    return any(path.resolve().is_relative_to(folder) for folder in _installed_folders())


def _installed_folders() -> list[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [Path(sysconfig.get_path(name)).resolve() for name in names]


def _required(cls: type) -> str:
    empty, kinds = inspect.Parameter.empty, inspect.Parameter
    return ", ".join(
        one.name
        for one in inspect.signature(cls).parameters.values()
        if one.default is empty and one.kind not in {kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD}
    )


def _networks(cls: type, parsed: Module) -> list[str]:
    """The classes of the file that are networks, of which a model file holds one."""
    import torch

    module = sys.modules.get(cls.__module__)
    classes = {name: getattr(module, name, None) for name in parsed.classes}
    return [
        name
        for name, value in classes.items()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module)
    ]


def _check_statements(tree: ast.Module, name: str) -> None:
    """Refuse a script, which would do its work again wherever the file is imported."""
    for statement in tree.body:
        main = isinstance(statement, ast.If) and ast.unparse(statement.test) == _MAIN
        if not isinstance(statement, _QUIET) and not main and not _is_constant(statement):
            raise NoSource(f"line {statement.lineno} of {name} does something when it is imported")


def _is_constant(statement: ast.stmt) -> bool:
    calls = any(isinstance(node, ast.Call) for node in ast.walk(statement))
    return isinstance(statement, _VALUES) and not calls


def _check_imports(parsed: Module, name: str) -> None:
    """Refuse a file that imports others which are not installed: they would be missing."""
    origins = [*parsed.imports.values(), *parsed.star_imports]
    for origin in origins:
        top = origin.partition(".")[0]
        if not top:
            raise NoSource(f"{name} imports what lies beside it")
        if top in sys.stdlib_module_names or top in parsed.names - parsed.imports.keys():
            continue
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            continue
        place = spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))
        if place and Path(place).exists() and not _is_installed(Path(place)):
            raise NoSource(f"{name} imports {top}, which lies beside it")
