"""What a handler's file defines, read from its syntax: nothing is imported."""

from __future__ import annotations

import symtable
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_only_class"]


def is_only_class(source: Path, name: str) -> bool:
    """Whether TorchServe, given the file alone, would take the class of that name for the handler.

    It would if that is the only class there and nothing is called ``handle``. Given the class too,
    TorchServe would call it like a function.

    Args:
        source: The handler's file.
        name: The class that the user named.
    """
    try:
        with tokenize.open(source) as stream:
            table = symtable.symtable(stream.read(), str(source), "exec")
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # whoever checks the handler says what is wrong with it
    classes = [child.get_name() for child in table.get_children() if child.get_type() == "class"]
    return classes == [name] and "handle" not in table.get_identifiers()
