"""Choosing the writer that a destination asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from mar_core.errors import UsageError
from mar_core.findings import printable
from mar_core.run.writers.files import FileWriter
from mar_core.run.writers.formats import FORMATS, LINES, check_format
from mar_core.run.writers.stream import StreamWriter
from mar_core.runtime.blobs import BlobFolder

if TYPE_CHECKING:
    from rich.console import Console

    from mar_core.run.writers.base import Writer

__all__ = ["open_writer"]


def open_writer(
    path: str | Path | None,
    *,
    resume: bool = False,
    force: bool = False,
    digest: str = "",
    output_dir: Path | None = None,
    details: bool = False,
    stream: TextIO | None = None,
    console: Console | None = None,
) -> Writer:
    """Open an output.

    Args:
        path: A file ending in ``.jsonl``, ``.ndjson``, ``.json``, ``.csv``, ``.tsv`` or
            ``.parquet``; None or ``-`` stands for standard output.
        resume: Go on with the run that the file holds.
        force: Replace a file that mar did not write, or an interrupted run.
        digest: What makes the rows: the archive's digest, and whatever else must stay the same.
        output_dir: Put bytes, tensors and pictures here, each in a file of its own.
        details: Write down what the handler said about its answers, too.
        stream: Standard output, where it is not ``sys.stdout``.
        console: Show results for people here, in place of JSON lines on standard output.

    Raises:
        UsageError: The ending says nothing, or standard output is to be resumed.
        OutputError: The file cannot be written to or not be resumed.
    """
    save_for = BlobFolder(output_dir).save_for if output_dir is not None else None
    if path is None or str(path) == "-":
        if resume:
            raise UsageError(
                "Standard output cannot be resumed.", hint="Name a file with --output."
            )
        if console is not None:
            from mar_core.run.render import TerminalWriter

            return TerminalWriter(console, save_for=save_for)
        return StreamWriter(stream, save_for=save_for, details=details)
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in FORMATS and ending not in LINES:
        known = ", ".join([*LINES, *FORMATS])
        raise UsageError(
            f"The ending of {printable(str(path))} says no format.", hint=f"Use one of {known}."
        )
    check_format(ending)
    return FileWriter(
        path,
        convert=FORMATS.get(ending),
        resume=resume,
        force=force,
        digest=digest,
        save_for=save_for,
        details=details,
    )
