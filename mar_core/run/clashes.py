"""Flags of ``mar run`` of which one would be dropped in silence: they are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.errors import UsageError
from mar_core.run.request import content_type_of, parse_headers
from mar_core.run.session import STREAMS
from mar_core.run.truth import Truth

if TYPE_CHECKING:
    from mar_core.run.asked import Asked

__all__ = ["check_inputs", "check_reading", "check_running"]


def check_inputs(asked: Asked, inputs: tuple[str, ...]) -> None:
    """Refuse to run nothing, and to drop one of two things that are asked for."""
    ways = {
        f"the input {inputs[0]}" if inputs else "": inputs,
        "-T": asked.upload,
        "-d": (*asked.data, *asked.data_binary),
        "-F": asked.form,
    }
    given = [way for way, words in ways.items() if words]
    if not given:
        hint = "Name files, folders or patterns, or `-` for standard input."
        raise UsageError("There are no inputs.", hint=hint)
    if len(given) > 1:
        one, other = given[:2]
        raise UsageError(
            f"Both {one} and {other} say what is sent.", hint="Run once for each of them."
        )


def check_reading(asked: Asked) -> None:
    """Refuse flags of which one would be dropped in silence."""
    typed = (
        asked.content_type is not None or content_type_of(parse_headers(asked.header)) is not None
    )
    posted = {"-T": asked.upload, "-d": (*asked.data, *asked.data_binary), "-F": asked.form}
    one = next((flag for flag, words in posted.items() if words), None)
    _refuse_both(one, "--include", asked.include, why="takes from folders, and a request is sent")
    _refuse_both(one, "--column", asked.column, why="takes from rows, and a request is sent whole")
    _refuse_both(one, "--keep", asked.keep, why="takes from rows, and a request is sent whole")
    column = Truth.column_of(asked.truth)
    _refuse_both(one, "--truth", column, why="names a column, and a request is sent whole")
    _refuse_both(
        one, "--lines", asked.lines, why="sends a text a line, and a request is sent whole"
    )
    _refuse_both(one, "--raw", asked.raw, why="sends rows as bytes, and a request as it is said")
    if asked.form and asked.content_type is not None:
        raise UsageError(
            "--content-type says what a body is, and -F sends a form.",
            hint="Say it of a field: -F 'name=@file;type=…'.",
        )
    if typed and (asked.column is not None or asked.raw or asked.keep or asked.lines):
        given = {"--raw": asked.raw, "--column": asked.column, "--keep": asked.keep}
        flag = next((name for name, value in given.items() if value), "--lines")
        raise UsageError(
            f"{flag} is for rows, and a content type sends a file whole.", hint="Leave one out."
        )
    if asked.raw and asked.envelope is not None:
        raise UsageError("--raw sends bytes, and --envelope unwraps JSON.", hint="Leave one out.")


def check_running(asked: Asked) -> None:
    """The same of the flags that say how it is run and where results go."""
    streams = any(word in STREAMS for word in asked.words)
    wrong = {
        "--force has nothing to replace without --output.": asked.force and asked.output is None,
        "--resume goes on, and --force starts afresh.": asked.resume and asked.force,
        "--dry-run runs nothing, and --watch runs again and again.": asked.dry_run and asked.watch,
        "--watch runs again, and standard input can be read once.": asked.watch and streams,
        "--watch starts afresh each time, and --resume goes on.": asked.watch and asked.resume,
    }
    for sentence, given in wrong.items():
        if given:
            raise UsageError(sentence, hint="Leave one out.")


def _refuse_both(one: str | None, flag: str, value: object, *, why: str) -> None:
    if one is not None and value:
        raise UsageError(f"{flag} {why} by {one}.", hint=f"Leave {flag} out.")
