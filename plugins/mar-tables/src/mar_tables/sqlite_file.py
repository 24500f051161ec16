"""A database of SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from mar_tables.database import TABLE, DatabaseWriter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mar_core import Table

__all__ = ["SQLiteWriter"]


class SQLiteWriter(DatabaseWriter):
    """Writes with the SQLite that comes with Python."""

    name = "SQLite"
    endings = (".sqlite", ".sqlite3")
    types = {str: "TEXT", bool: "BOOLEAN", int: "INTEGER", float: "REAL"}  # noqa: RUF012 - never changed
    most_columns = 2000

    def fill(self, path: Path, columns: Mapping[str, str], table: Table) -> None:
        """Make the database, all rows in one transaction."""
        places = ", ".join("?" for _ in columns)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            # The file is nobody's until it is whole: it needs no journal.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(self.definition(columns, table))
            with connection:
                connection.executemany(
                    f"INSERT INTO {TABLE} VALUES ({places})",  # noqa: S608 - question marks alone
                    ([record.get(name) for name in columns] for record in table.records),
                )
