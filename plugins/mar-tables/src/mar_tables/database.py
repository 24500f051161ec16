"""What both databases have in common: a file made apart, with one table of results."""

from __future__ import annotations

import shutil
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from mar_core import OutputError, Writer, to_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mar_core import Table, WriteOptions

__all__ = ["TABLE", "DatabaseWriter", "quoted"]

TABLE = "results"


class DatabaseWriter(Writer):
    """Makes a database in a folder of its own, and hands over the file when it is whole.

    Attributes:
        types: What the database calls the types of columns.
        most_columns: How many columns a table has at most.
    """

    flattens = True
    types: ClassVar[Mapping[type, str]]
    most_columns: ClassVar[int]

    def write(
        self,
        rows: Callable[[], Iterator[dict[str, Any]]],
        stream: BinaryIO,
        options: WriteOptions,
    ) -> None:
        """Write the database.

        Raises:
            OutputError: The results have more columns than a table can have.
        """
        table = to_table(rows, options)
        if len(table.columns) > self.most_columns:
            raise OutputError(
                f"The results have {len(table.columns):,} columns, and a table of {self.name} has "
                f"{self.most_columns:,} at most.",
                hint="Leave out --flat and go on with --resume, or name a .parquet.",
            )
        with tempfile.TemporaryDirectory(prefix="mar-tables-") as folder:
            path = Path(folder) / "results"
            self.fill(path, self.columns_of(table), table)
            with path.open("rb") as made:
                shutil.copyfileobj(made, stream)

    @abstractmethod
    def fill(self, path: Path, columns: Mapping[str, str], table: Table) -> None:
        """Make the database.

        Args:
            path: Where; there is nothing yet.
            columns: For each column of the table what it is called in the database.
            table: The results.
        """

    def columns_of(self, table: Table) -> dict[str, str]:
        """What columns are called in a database, which does not tell ``Cat`` from ``cat``."""
        names: dict[str, str] = {}
        taken: set[str] = set()
        for column in table.columns:
            name, number = column or "_", 1
            while name.casefold() in taken:
                number += 1
                name = f"{column}_{number}"
            taken.add(name.casefold())
            names[column] = name
        return names

    def definition(self, columns: Mapping[str, str], table: Table) -> str:
        """The statement that makes the table."""
        parts = ", ".join(
            f"{quoted(columns[name])} {self.types[kind]}" for name, kind in table.columns.items()
        )
        return f"CREATE TABLE {TABLE} ({parts})"


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"{}"'.format(name.replace('"', '""').replace("\0", "\ufffd"))
