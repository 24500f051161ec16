"""A database of DuckDB."""

from __future__ import annotations

import importlib.util
import json
import math
from typing import TYPE_CHECKING, Any

from mar_core import UsageError
from mar_tables.database import TABLE, DatabaseWriter, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mar_core import Table, WriteOptions

__all__ = ["DuckDBWriter"]

# A row of results may be long: DuckDB's own limit for a line is 16 MiB.
LONGEST_LINE = 1 << 30
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class DuckDBWriter(DatabaseWriter):
    """Writes with the package ``duckdb``."""

    name = "DuckDB"
    endings = (".duckdb",)
    types = {str: "VARCHAR", bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE"}  # noqa: RUF012 - never changed
    most_columns = 20_000

    def check(self, options: WriteOptions) -> None:  # noqa: ARG002
        """Find out whether DuckDB is there.

        Raises:
            UsageError: It is not.
        """
        if importlib.util.find_spec("duckdb") is None:
            raise UsageError(
                "Writing .duckdb needs DuckDB.",
                hint="Install it: `pip install 'mar-tables[duckdb]'`.",
            )

    def fill(self, path: Path, columns: Mapping[str, str], table: Table) -> None:
        """Make the database from JSON lines beside it: row by row DuckDB takes few a second."""
        import duckdb

        lines = path.with_name("rows.jsonl")
        # By place and not by name: names may hold anything.
        places = {name: f"c{number}" for number, name in enumerate(columns)}
        with lines.open("w", encoding="utf-8") as stream:
            for record in table.records:
                cells = {places[name]: _as_json(cell) for name, cell in record.items()}
                stream.write(json.dumps(cells, allow_nan=False) + "\n")
        kinds = {places[name]: self.types[kind] for name, kind in table.columns.items()}
        with duckdb.connect(path, config=CONFIG) as connection:
            connection.execute(self.definition(columns, table))
            connection.execute(
                f"INSERT INTO {TABLE} SELECT {', '.join(map(quoted, kinds))} "  # noqa: S608 - c0, c1, …
                "FROM read_json(?, format = 'newline_delimited', columns = ?, "
                "maximum_object_size = ?)",
                [str(lines), kinds, LONGEST_LINE],
            )


def _as_json(cell: Any) -> Any:
    """A cell as JSON has it: numbers that it does not know are text, which DuckDB reads as them."""
    return str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell
