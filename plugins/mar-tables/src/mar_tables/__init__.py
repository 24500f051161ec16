"""Results in databases of one file: SQLite and DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core import Writer

__all__ = ["mar_register_writers"]


@hookimpl
def mar_register_writers(register: Callable[[Writer], None]) -> None:
    """Offer ``.sqlite``, ``.sqlite3`` and ``.duckdb``."""
    from mar_tables.duckdb_file import DuckDBWriter
    from mar_tables.sqlite_file import SQLiteWriter

    register(SQLiteWriter())
    register(DuckDBWriter())
