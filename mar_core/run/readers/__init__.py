"""The readers that come with mar, offered as any plugin offers its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.records import Reader

__all__ = ["mar_register_readers"]


@hookimpl
def mar_register_readers(register: Callable[[Reader], None]) -> None:
    """Offer files, rows, archives of files, and standard input."""
    from mar_core.run.readers.files import FileReader
    from mar_core.run.readers.packs import TarReader, ZipReader
    from mar_core.run.readers.rows import JsonLinesReader, JsonReader
    from mar_core.run.readers.stdin import StdinReader
    from mar_core.run.readers.tables import CsvReader, ParquetReader

    readers: tuple[Reader, ...] = (
        FileReader(),  # takes every file, so that it must be asked last: it registers first
        TarReader(),
        ZipReader(),
        ParquetReader(),
        CsvReader(),
        JsonReader(),
        JsonLinesReader(),
        StdinReader(),
    )
    for reader in readers:
        register(reader)
