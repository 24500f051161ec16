"""Where results go: standard output, or a file whose ending says how it is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from mar_core.errors import PluginError, UsageError
from mar_core.plugins import get_plugins
from mar_core.records import WriteOptions
from mar_core.run.writers.base import Output, StreamOutput
from mar_core.run.writers.files import FileOutput
from mar_core.runtime.values import BlobFolder
from mar_core.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from mar_core.records import RunSummary, Writer

__all__ = ["Output", "find_writer", "open_writer"]


def open_writer(
    path: str | Path | None,
    *,
    resume: bool = False,
    force: bool = False,
    digest: str = "",
    output_dir: Path | None = None,
    options: WriteOptions | None = None,
    summary: RunSummary | None = None,
    stream: TextIO | None = None,
    console: Console | None = None,
) -> Output:
    """Open an output.

    Args:
        path: A file whose ending a writer knows; None or ``-`` stands for standard output.
        resume: Go on with the run that the file holds.
        force: Replace a file that mar did not write, or an interrupted run.
        digest: What makes the rows: the archive's digest, and whatever else must stay the same.
        output_dir: Put bytes, tensors and pictures here, each in a file of its own.
        options: How rows are written.
        summary: What the run has come to so far, for formats that note it.
        stream: Standard output, where it is not ``sys.stdout``.
        console: Show results for people here, in place of JSON lines on standard output.

    Raises:
        UsageError: The ending says nothing, or standard output is to be resumed.
        OutputError: The file cannot be written to or not be resumed.
    """
    options = options or WriteOptions()
    save_for = BlobFolder(output_dir).save_for if output_dir is not None else None
    if path is None or str(path) == "-":
        if resume:
            raise UsageError(
                "Standard output cannot be resumed.", hint="Name a file with --output."
            )
        if options.flat:
            raise UsageError("--flat is for tables.", hint="Name a .csv with --output.")
        if console is not None:
            from mar_core.run.render import TerminalOutput

            return TerminalOutput(console, save_for=save_for, options=options)
        return StreamOutput(stream, save_for=save_for, options=options)
    return FileOutput(
        Path(path),
        writer=find_writer(Path(path)),
        options=options,
        resume=resume,
        force=force,
        digest=digest,
        save_for=save_for,
        summary=summary,
    )


def find_writer(path: Path) -> Writer:
    """The writer of a file's ending, the longest that fits.

    Raises:
        UsageError: No plugin writes such files.
        PluginError: Two do.
    """
    offers: dict[str, list[tuple[str, Writer]]] = {}
    for plugin, writer in get_plugins().writers():
        for ending in writer.endings:
            offers.setdefault(ending, []).append((plugin, writer))
    name = path.name.lower()
    fitting = [ending for ending in offers if name.endswith(ending)]
    if not fitting:
        known = ", ".join(offers)
        raise UsageError(
            f"The ending of {printable(str(path))} says no format.", hint=f"Use one of {known}."
        )
    found = offers[max(fitting, key=len)]
    if len(found) > 1:
        owners = " and ".join(sorted(plugin for plugin, _ in found))
        raise PluginError(f"Files like {printable(path.name)} are written by {owners}.")
    return found[0][1]
