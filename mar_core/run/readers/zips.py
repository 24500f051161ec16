"""Zip files: one request for each member, read in place."""

from __future__ import annotations

import functools
import os
import zipfile
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from mar_core.errors import InputError
from mar_core.findings import printable
from mar_core.records import Input
from mar_core.run.readers.files import body_request, sent_type
from mar_core.run.readers.folders import wanted
from mar_core.run.readers.sources import (
    ending_path,
    is_file,
    is_url,
    open_source,
    reading,
    too_large,
)
from mar_core.runtime.content import request_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.records import ReadOptions

__all__ = ["ZipReader", "member_id"]

OPEN_AT_ONCE = 8
_ENCRYPTED = 1


class ZipReader:
    """Reads the files of a ``.zip``; nothing is unpacked to the disk."""

    name = "zip"

    def accepts(self, source: str) -> bool:
        """Whether it is a file that ends in ``.zip``."""
        return ending_path(source).endswith(".zip") and is_file(source)

    def read(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """One input for each file, called ``source.zip!folder/name``, in the order of the archive.

        Raises:
            InputError: It is no sound zip file, or holds no file that is wanted.
        """
        field = options.field_name
        seen: Counter[str] = Counter()
        for index, member in enumerate(_archive(source).infolist()):
            if member.is_dir() or not wanted(member.filename, options.include):
                continue
            kind = sent_type(member.filename, options)
            yield Input(
                id=member_id(source, member.filename, seen),
                read=functools.partial(_read, source, index, field, kind, options.max_input_size),
                headers=request_headers({field: kind}, options.headers, content_type=kind),
                size=member.file_size,
            )
        if not seen:
            raise InputError(f"{printable(source)} holds no file that is wanted.")


def member_id(source: str, name: str, seen: Counter[str]) -> str:
    """The id of a member, which is there once although archives may hold a name twice."""
    seen[name] += 1
    return f"{source}!{name}" if seen[name] == 1 else f"{source}!{name}#{seen[name]}"


def _read(source: str, index: int, field: str, content_type: str, limit: int) -> dict[str, Any]:
    archive = _archive(source)
    member = archive.infolist()[index]
    name = printable(f"{source}!{member.filename}")
    if member.flag_bits & _ENCRYPTED:
        raise InputError(f"{name} is encrypted.")
    if member.file_size > limit:
        raise too_large(name, limit)
    try:
        with reading(name), archive.open(member) as stream:
            value = stream.read(member.file_size + 1)
    except (zipfile.BadZipFile, NotImplementedError, zlib.error) as error:
        raise InputError(f"{name} is damaged: {str(error).rstrip('.')}.") from error
    return body_request(field, value, content_type)


def _archive(source: str) -> zipfile.ZipFile:
    stamp = None
    if not is_url(source):
        with reading(source):
            status = os.stat(source)  # noqa: PTH116
            stamp = (status.st_mtime_ns, status.st_size)
    # A process of its own opens its own: two that share a descriptor move each other's position.
    return _opened(source, stamp, os.getpid())


@functools.lru_cache(maxsize=OPEN_AT_ONCE)
def _opened(source: str, _stamp: object, _process: int) -> zipfile.ZipFile:
    try:
        with reading(source):
            return zipfile.ZipFile(open_source(source) if is_url(source) else source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        reason = str(error).rstrip(".")
        raise InputError(f"{printable(source)} is no sound zip file: {reason}.") from error
