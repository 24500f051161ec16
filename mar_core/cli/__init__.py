"""The command line: ``mar COMMAND``.

One thin module for each command: a typer signature, one import inside the function, one call, and
what to print. This module puts them together and is the one place where errors become sentences.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mar_core.cli.command import MarCommand, MarGroup, RunCommand
from mar_core.errors import MarError, OutputError
from mar_core.text import printable_lines, show_messages

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["app", "main"]

INTERRUPTED = 130
_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF, errno.EIO}

_MAKE, _LOOK, _TOOLS = "Make", "Look", "Tools"
# For each command the module that has it, the function, and where help lists it.
COMMANDS = {
    "archive": ("archive", "archive", _MAKE),
    "update": ("update", "update", _MAKE),
    "unpack": ("unpack", "unpack", _MAKE),
    "run": ("run", "run", _MAKE),
    "test": ("test", "check_examples", _MAKE),
    "validate": ("validate", "validate", _LOOK),
    "inspect": ("inspect", "inspect", _LOOK),
    "diff": ("diff", "diff", _LOOK),
    "trust": ("trust", "trust", _TOOLS),
    "new": ("new", "new", _TOOLS),
    "plugins": ("plugins", "plugins", _TOOLS),
    "doctor": ("doctor", "doctor", _TOOLS),
    "cache": ("cache", "cache", _TOOLS),
}


def _version(value: bool) -> None:
    if value:
        import mar_core

        typer.echo(f"mar {mar_core.__version__}")
        raise typer.Exit


def _no_plugins(value: bool) -> None:
    """Set before the command is looked for: a plugin may bring it; worker processes inherit it."""
    if value:
        names = os.environ.get("MAR_DISABLED_PLUGINS", "")
        os.environ["MAR_DISABLED_PLUGINS"] = f"*,{names}"


def _root(
    no_plugins: Annotated[
        bool,
        typer.Option(
            "--no-plugins",
            help="Load no plugin but those that come with mar.",
            callback=_no_plugins,
            is_eager=True,
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Package a PyTorch model with the code that serves it, prove it sound, and run it.

    Archives and handlers made for TorchServe work unchanged, and what is made here works there.

    **Start here:** `mar archive --help`, then `mar run --help`.
    """


def _make_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The application with some of its commands."""
    # A pipe gets plain help: rich takes longer to import than everything else together.
    app = typer.Typer(
        name="mar",
        cls=MarGroup,
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode="markdown" if sys.stdout.isatty() else None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in names:
        module, function, panel = COMMANDS[name]
        command = getattr(importlib.import_module(f"mar_core.cli.{module}"), function)
        cls = RunCommand if name == "run" else MarCommand
        app.command(name, cls=cls, rich_help_panel=panel)(command)
    return app


def _commands_for(words: Iterable[str]) -> Iterable[str]:
    """The one command that these words ask for, else all: each takes time to make."""
    first = next((word for word in words if not word.startswith("-")), "")
    return (first,) if first in COMMANDS else COMMANDS


@functools.cache
def __getattr__(name: str) -> typer.Typer:
    """``app`` is everything that there is."""
    if name == "app":
        return _make_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run ``mar`` with the arguments of this process and exit with its code."""
    _open_streams()
    show_messages()
    code: int | str | None = 0
    try:
        _make_app(_commands_for(sys.argv[1:]))()
    except SystemExit as error:
        code = error.code
    except MarError as error:
        print(printable_lines(f"mar: error: {error}"), file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if not (fault := _stream_fault(error)):
            raise
        print(f"mar: error: {fault}", file=sys.stderr)
        code = OutputError.exit_code
    if fault := _finish_stdout():
        print(f"mar: error: {fault}", file=sys.stderr)
        code = code or OutputError.exit_code
    _leave(code)


def _leave(code: int | str | None) -> NoReturn:
    """Exit.

    A thread may wait for standard input, with which Python cannot end. And after a command that
    only looked Python would take apart, one by one, the hundreds of modules that it has imported:
    an eighth of all its time.
    """
    if isinstance(code, int) and (_is_waiting() or _only_looked()):
        from mar_core.runtime.leaving import run_exit_functions

        run_exit_functions()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _is_waiting() -> bool:
    feed = sys.modules.get("mar_core.runtime.feed")
    return feed is not None and feed.is_waiting()


def _only_looked() -> bool:
    """Whether nothing was written, and no thread is left that may want to."""
    import threading

    quick = {"plugins", *(name for name, (_, _, panel) in COMMANDS.items() if panel == _LOOK)}
    return quick.issuperset(_commands_for(sys.argv[1:])) and threading.active_count() == 1


def _open_streams() -> None:
    """Put something in the place of closed streams.

    Else the next file that is opened would get their number, and what a handler prints would be
    written into it. Standard output becomes one that fails when it is written to.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)  # noqa: PLR2004
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    encoding = sys.stderr.encoding
    buffer: Any = sys.stderr.detach()  # type: ignore[union-attr]
    sys.stderr = _Forgiving(
        buffer, encoding=encoding, errors="backslashreplace", line_buffering=True
    )


class _Forgiving(io.TextIOWrapper):
    """Standard error: what cannot be said there is no reason to fail."""

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def _finish_stdout() -> str:
    """Let out what is still in the buffer; what went wrong, if anything did."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _drop_stdout()
        return _stream_fault(error)
    except ValueError:  # it has been closed
        pass
    return ""


def _stream_fault(error: OSError) -> str:
    """The sentence for a standard output that cannot be written to.

    Empty where it is a pipe whose reader has left, which is no failure, or another error.
    """
    if error.filename is not None or error.errno not in _FAULTS:
        return ""
    if error.errno == errno.EBADF:
        return "Standard output is closed. Open it, or name a file to write to."
    _drop_stdout()
    return f"Standard output cannot be written: {error.strerror}."


def _drop_stdout() -> None:
    """What is left in the buffer must not be tried again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
