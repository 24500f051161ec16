"""Opening what the user named: a path, or a URL of any scheme that fsspec knows."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import os
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast
from urllib.parse import urlsplit

from mar_core.errors import InputError
from mar_core.records import Input
from mar_core.text import printable, size_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "broken",
    "check_there",
    "ending_path",
    "filesystem_of",
    "is_file",
    "is_url",
    "open_rows",
    "open_source",
    "read_bounded",
    "read_lines",
    "reading",
    "refuse",
    "too_large",
]

CHUNK = 1 << 20
# How fsspec says which package a scheme needs.
_PACKAGE = re.compile(r"[Ii]nstall (?:the )?[\"'`]?([A-Za-z][A-Za-z0-9_.-]*)")


def is_url(source: str) -> bool:
    """Whether a source is a URL and not a path."""
    scheme, separator, _ = source.partition("://")
    return bool(separator) and scheme.replace("+", "").replace(":", "").isalnum()


def is_file(source: str) -> bool:
    """Whether there is a file to open; a URL is taken at its word until it is read."""
    if is_url(source):
        return not source.endswith("/") and "*" not in source
    return os.path.lexists(source) and not Path(source).is_dir()


def ending_path(source: str) -> str:
    """The part of a source that has its ending, in lower case: a web address without its query."""
    path = urlsplit(source).path if source.startswith(("http://", "https://")) else source
    return path.lower()


def open_source(source: str) -> BinaryIO:
    """Open a path or URL for reading bytes.

    Raises:
        InputError: It is not there, may not be read, or needs a package that is not installed.
    """
    with reading(source):
        if not is_url(source):
            return Path(source).open("rb")
        filesystem, path = filesystem_of(source)
        return cast("BinaryIO", filesystem.open(path, "rb"))


def read_bounded(stream: BinaryIO, limit: int, name: str) -> bytes:
    """All that is left of a stream.

    Raises:
        InputError: It is more than the bytes allowed.
    """
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise too_large(name, limit)
    return content


def read_lines(stream: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """The lines of a stream with their ends, None for one of more bytes than allowed."""
    while line := stream.readline(limit + 2):
        if len(line) <= limit or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(CHUNK)
        yield None


def too_large(name: str, limit: int) -> InputError:
    """The error of an input that is larger than allowed."""
    return InputError(
        f"{printable(name)} is larger than {size_in_words(limit)}.",
        hint="Take larger ones with --max-input-size.",
    )


def check_there(path: str) -> None:
    """Say why a path is no file.

    Raises:
        InputError: It is not there, or out of reach.
    """
    with reading(path):
        os.stat(path)  # noqa: PTH116


@contextlib.contextmanager
def open_rows(source: str) -> Iterator[BinaryIO]:
    """Open a file of rows, unpacking it on the way when its name ends in ``.gz``.

    Raises:
        InputError: It cannot be opened, or breaks off.
    """
    with reading(source), open_source(source) as stream:
        if not ending_path(source).endswith(".gz"):
            yield cast("BinaryIO", io.BufferedReader(_Raw(stream))) if is_url(source) else stream
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield cast("BinaryIO", unpacked)


class _Raw(io.RawIOBase):
    """A file of fsspec's, whose ``readline`` knows no limit."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def filesystem_of(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path there.

    Raises:
        InputError: fsspec, or what it needs for that scheme, is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise InputError(
            f"{printable(url)}: reading URLs needs fsspec.",
            hint="Install it: `pip install 'mar-core[remote]'`.",
        ) from error
    try:
        return cast("tuple[Any, str]", url_to_fs(url))
    except ImportError as error:
        scheme = url.partition("://")[0]
        needed = _PACKAGE.search(str(error))
        raise InputError(
            f"{printable(url)} cannot be opened: reading {scheme}:// needs another package.",
            hint=f"Install it: `pip install {needed[1]}`." if needed else f"{error}",
        ) from error
    except ValueError as error:
        scheme = url.partition("://")[0]
        unknown = str(error).startswith("Protocol not known")
        reason = f"nothing here reads {scheme}://" if unknown else str(error).rstrip(".")
        raise InputError(f"{printable(url)} cannot be opened: {reason}.") from error


@contextlib.contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn what goes wrong with a source into an ``InputError`` that names it.

    Raises:
        InputError: The source is not there, may not be read, or breaks off.
    """
    if "\0" in source:  # what a list of inputs may say, and no file is called
        raise InputError(f"There is no {printable(source)}.")
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(_why_unreadable(printable(source), error)) from error


def _why_unreadable(name: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"There is no {name}."
    if isinstance(error, IsADirectoryError):
        return f"{name} is a folder."
    if isinstance(error, PermissionError):
        return f"{name} may not be read by this user."
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{name} cannot be read: {str(reason).rstrip('.')}."


def broken(name: str, message: str, *, hint: str | None = None) -> Input:
    """An input that is known to fail: it costs a row, and the run goes on."""
    return Input(id=name, read=functools.partial(refuse, message, hint))


def refuse(message: str, hint: str | None = None) -> NoReturn:
    """Fail as the ``read`` of an input.

    Raises:
        InputError: Always.
    """
    raise InputError(message, hint=hint)
