"""From the words on the command line to inputs: lists, folders, patterns, readers."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
from typing import TYPE_CHECKING

from mar_core.errors import InputError, UsageError
from mar_core.records import Input
from mar_core.run.outputs import Outputs
from mar_core.run.readers.files import body_request
from mar_core.run.readers.folders import find_files, is_folder, is_pattern
from mar_core.run.readers.sources import (
    broken,
    check_there,
    is_url,
    open_rows,
    open_source,
    read_lines,
    reading,
    too_large,
)
from mar_core.run.readers.stdin import STDIN, binary_stdin
from mar_core.runtime.requests import request_headers
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mar_core.records import Reader, ReadOptions


__all__ = ["check_flags", "expand", "listed", "text_inputs"]

AS_TEXT = "To send it as text: `-H 'content-type: text/plain' -d 'THE TEXT'`."
TEXT = "text/plain"
# For which readers a flag does nothing, and what it takes from.
_USELESS = {
    "--column": ("rows", {"file"}),
    "--keep": ("rows", {"file"}),
    "--include": ("folders, zips and tars", {"file", "csv", "json", "jsonl", "parquet", "stdin"}),
}
_FILE_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}$")


def expand(
    sources: Iterable[str],
    options: ReadOptions,
    readers: Sequence[Reader],
    outputs: Outputs | None = None,
    *,
    opened: Callable[[str], None] | None = None,
) -> Iterator[Input]:
    """The inputs of everything that the user named, one after the other, none read yet.

    Whatever cannot be opened is an input whose ``read`` fails, so that it costs one row.

    Args:
        sources: Paths, folders, patterns, URLs, ``@list`` and ``-``, mixed freely.
        options: How to read them.
        readers: Whom to ask, in that order.
        outputs: What the run writes, and must not read.
        opened: Told the name of each source before its inputs come.

    Yields:
        The inputs, in the order of the sources and of what they hold; each id is there once.
    """
    seen: dict[str, int] = {}
    for source in sources:
        for leaf, reader in _leaves(source, options, readers, outputs):
            if isinstance(leaf, str):
                name, inputs = leaf, _read(leaf, options, readers, reader)
            else:
                name, inputs = leaf.id, iter([leaf])
            seen[name] = seen.get(name, 0) + 1
            if opened is not None:
                opened(name)
            yield from inputs if seen[name] == 1 else _renamed(inputs, seen[name])


def check_flags(sources: Iterable[str], options: ReadOptions, readers: Sequence[Reader]) -> None:
    """Refuse flags that would do nothing, where the names of all sources tell.

    Args:
        sources: Paths, folders, patterns, URLs, ``@list`` and ``-``.
        options: What the flags say.
        readers: Whom to ask, in that order.

    Raises:
        UsageError: A flag takes from rows or folders, and there are none among the sources.
    """
    given = {"--column": options.column, "--keep": options.keep, "--include": options.include}
    names = set()
    for source in sources:
        if _is_list(source) or is_folder(source) or is_pattern(source):
            return
        try:
            reader = _reader(source, readers)
        except InputError:
            return
        if reader is None:
            return
        names.add(reader.name)
    for flag, value in given.items():
        takes, useless = _USELESS[flag]
        if value and names and names <= useless:
            raise UsageError(
                f"{flag} takes from {takes}, and no input is any.", hint=f"Leave {flag} out."
            )


def listed(sources: Iterable[str]) -> Iterator[str]:
    """What the lists among the sources name, lists in lists included, where that can be read."""
    waiting = [source for source in sources if _is_list(source) and source != "@-"]
    seen = set(waiting)
    while waiting:
        source = waiting.pop()
        yield source[1:]
        with contextlib.suppress(InputError):
            for line in _list_lines(source, ()):
                if not _is_list(line):
                    yield line
                elif line not in seen:
                    seen.add(line)
                    waiting.append(line)


def _renamed(inputs: Iterable[Input], time: int) -> Iterator[Input]:
    for item in inputs:
        yield dataclasses.replace(item, id=f"{item.id}#{time}")


def _leaves(
    source: str,
    options: ReadOptions,
    readers: Sequence[Reader],
    outputs: Outputs | None,
    lists: tuple[str, ...] = (),
) -> Iterator[tuple[str | Input, Reader | None]]:
    """What a source comes to: names that a reader takes, and inputs that are known to fail.

    The reader comes along where it has been asked already.
    """
    try:
        if _is_list(source):
            for line in _list_lines(source, lists):
                yield from _leaves(line, options, readers, outputs, (*lists, source))
        elif outputs is not None and outputs.holds(source):
            name = printable(source)
            yield broken(source, f"{name} is where this run writes, and none of its inputs."), None
        elif (reader := _reader(source, readers)) is not None:
            yield source, reader
        elif is_folder(source) or is_pattern(source):
            for found in find_files(source, options.include, outputs or Outputs()):
                yield found, None
        elif _looks_like_text(source):
            yield broken(source, f"There is no file {printable(source)!r}.", hint=AS_TEXT), None
        else:
            check_there(source)
            yield broken(source, f"No reader takes {printable(source)}."), None
    except InputError as error:
        hint = AS_TEXT if error.hint is None and _looks_like_text(source) else error.hint
        yield broken(source, error.message, hint=hint), None


def _read(
    source: str, options: ReadOptions, readers: Sequence[Reader], reader: Reader | None
) -> Iterator[Input]:
    reader = reader or _reader(source, readers)
    if reader is None:  # it has gone, or a plugin's reader changed its mind
        yield broken(source, f"No reader takes {printable(source)}.")
        return
    try:
        lines = options.lines and reader.name in {"file", "stdin"}
        found: Iterable[object] = (
            text_inputs(source, options) if lines else reader.read(source, options)
        )
        for item in found:
            if isinstance(item, Input) and isinstance(item.id, str) and callable(item.read):
                yield item
            else:
                kind = type(item).__name__
                fault = f"it gives {kind}, which is not a sound Input"
                yield broken(source, _failed(reader, source, fault).message)
    except InputError as error:
        yield broken(source, error.message, hint=error.hint)
    except Exception as error:  # noqa: BLE001 - a reader may come from anybody
        failed = _failed(reader, source, f"{type(error).__name__}: {error}".rstrip("."))
        yield broken(source, failed.message)


def _failed(reader: Reader, source: str, fault: str) -> InputError:
    name = getattr(reader, "name", type(reader).__name__)
    return InputError(f"The reader {name!r} failed at {printable(source)}: {fault}.")


def _reader(source: str, readers: Sequence[Reader]) -> Reader | None:
    """The reader that takes a source, or None.

    Raises:
        InputError: A reader failed when it was asked.
    """
    for reader in readers:
        try:
            accepted = reader.accepts(source)
        except Exception as error:
            raise _failed(reader, source, f"{type(error).__name__}: {error}") from error
        if accepted:
            return reader
    return None


def _looks_like_text(source: str) -> bool:
    """Whether a word that names no file may be meant as a text."""
    if os.path.lexists(source) or is_url(source) or _FILE_ENDING.search(source):
        return False
    return " " in source.strip() or source.isalpha()


def _is_list(source: str) -> bool:
    return len(source) > 1 and source.startswith("@") and not os.path.lexists(source)


def _list_lines(source: str, lists: tuple[str, ...]) -> Iterator[str]:
    """The names in a list, one on each line, empty lines left out."""
    if source in lists:
        raise InputError(f"The list {printable(source)} names itself.")
    path = source[1:]
    opened = contextlib.nullcontext(binary_stdin()) if path == STDIN else open_source(path)
    with opened as stream, reading(path):
        for line in stream:
            name = os.fsdecode(line.rstrip(b"\r\n"))
            if name.strip():
                yield name


def text_inputs(source: str, options: ReadOptions) -> Iterator[Input]:
    """One input for each line that is not empty, called ``source:12``; its end is not sent.

    Raises:
        InputError: The file cannot be opened.
    """
    field, limit = options.field_name, options.max_input_size
    kind = "" if options.raw else TEXT
    headers = request_headers({field: kind}, options.headers, content_type=kind)
    opened = contextlib.nullcontext(binary_stdin()) if source == STDIN else open_rows(source)
    with opened as stream:
        for number, line in enumerate(read_lines(stream, limit), start=1):
            name = f"{source}:{number}"
            if line is None:
                error = too_large(name, limit)
                yield broken(name, error.message, hint=error.hint)
            elif text := line.rstrip(b"\r\n"):
                read = functools.partial(body_request, field, text, kind)
                yield Input(id=name, read=read, headers=headers, size=len(text))
