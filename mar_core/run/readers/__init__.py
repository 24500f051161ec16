"""The readers that come with mar, offered as any plugin offers its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.run.types import Reader

__all__ = ["mar_register_readers"]


@hookimpl
def mar_register_readers(register: Callable[[Reader], None]) -> None:
    """Offer files, rows, archives of files, and standard input."""
    from mar_core.run.readers.files import FileReader
    from mar_core.run.readers.json_rows import JsonLinesReader, JsonReader
    from mar_core.run.readers.stdin import StdinReader

    readers: tuple[Reader, ...] = (FileReader(), JsonReader(), JsonLinesReader(), StdinReader())
    for reader in readers:
        register(reader)
