"""Archives of files, zip and tar: one request for each member, read in place."""

from __future__ import annotations

import bz2
import functools
import gzip
import itertools
import lzma
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import InputError
from mar_core.records import Input
from mar_core.run.readers.files import body_request, sent_type
from mar_core.run.readers.folders import is_included
from mar_core.run.readers.rows import as_request
from mar_core.run.readers.sources import (
    ending_path,
    is_file,
    is_url,
    open_source,
    reading,
    too_large,
)
from mar_core.runtime.requests import decode, guess_type, request_headers
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from mar_core.records import ReadOptions


__all__ = ["TarReader", "ZipReader", "member_id"]

OPEN_AT_ONCE = 8
_ENCRYPTED = 1
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
READ_AT_ONCE = 1 << 20


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
        for index, member in enumerate(_zip_file(source).infolist()):
            if member.is_dir() or not is_included(member.filename, options.include):
                continue
            kind = sent_type(member.filename, options)
            yield Input(
                id=member_id(source, member.filename, seen),
                read=functools.partial(
                    _read_zip, source, index, field, kind, options.max_input_size
                ),
                headers=request_headers({field: kind}, options.headers, content_type=kind),
                size=member.file_size,
            )
        if not seen:
            raise InputError(f"{printable(source)} holds no file that is wanted.")


def member_id(source: str, name: str, seen: Counter[str]) -> str:
    """The id of a member, which is there once although archives may hold a name twice."""
    seen[name] += 1
    return f"{source}!{name}" if seen[name] == 1 else f"{source}!{name}#{seen[name]}"


def _read_zip(source: str, index: int, field: str, content_type: str, limit: int) -> dict[str, Any]:
    archive = _zip_file(source)
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


def _zip_file(source: str) -> zipfile.ZipFile:
    stamp = None
    if not is_url(source):
        with reading(source):
            status = os.stat(source)  # noqa: PTH116
            stamp = (status.st_mtime_ns, status.st_size)
    # A process of its own opens its own: two that share a descriptor move each other's position.
    return _opened_zip(source, stamp, os.getpid())


@functools.lru_cache(maxsize=OPEN_AT_ONCE)
def _opened_zip(source: str, _stamp: object, _process: int) -> zipfile.ZipFile:
    try:
        with reading(source):
            return zipfile.ZipFile(open_source(source) if is_url(source) else source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        reason = str(error).rstrip(".")
        raise InputError(f"{printable(source)} is no sound zip file: {reason}.") from error


def _gunzip(stream: BinaryIO) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=stream)


# tarfile unpacks by itself, too, but looks at no checksum.
_UNPACK: dict[str, Callable[[BinaryIO], Any]] = {
    "gz": _gunzip,
    "tgz": _gunzip,
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}


class TarReader:
    """Reads the files of a ``.tar``, packed or not; nothing is unpacked to the disk.

    Files in a row that differ in their ending alone, ``7.jpg`` and ``7.cls``, are one sample, as in
    webdataset shards; pictures of several formats are not.
    """

    name = "tar"

    def accepts(self, source: str) -> bool:
        """Whether it is a file that ends in ``.tar``, ``.tar.gz``, ``.tgz`` or their like."""
        return ending_path(source).endswith(TAR_ENDINGS) and is_file(source)

    def read(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """One input for each file or sample, called ``source.tar!folder/name``, in its order.

        Raises:
            InputError: It is no sound tar file, or holds no file that is wanted.
        """
        seen: Counter[str] = Counter()
        limit = options.max_input_size
        parts = (part for part in _parts(source, limit) if is_included(part.name, options.include))
        for _, group in itertools.groupby(parts, lambda part: part.key):
            for sample in _samples(list(group)):
                whole = len(sample) == 1
                name = member_id(source, sample[0].name if whole else sample[0].key, seen)
                yield (_single if whole else _sample)(source, name, sample, options)
        if not seen:
            raise InputError(f"{printable(source)} holds no file that is wanted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A file in a tar: where it lies, or its content where the tar is packed."""

    name: str
    size: int
    offset: int = 0
    content: bytes | None = None
    fault: str = ""

    @property
    def key(self) -> str:
        """Its path without the ending, which begins at the first dot of the name."""
        folder, slash, name = self.name.rpartition("/")
        return f"{folder}{slash}{name.partition('.')[0]}"

    @property
    def ending(self) -> str:
        """What stands behind the first dot of its name."""
        return self.name.rpartition("/")[2].partition(".")[2].lower()

    def read(self, source: str) -> bytes:
        """Its content.

        Raises:
            InputError: It is damaged, too large, or no file.
        """
        name = printable(f"{source}!{self.name}")
        if self.fault:
            raise InputError(f"{name} {self.fault}.")
        if self.content is not None:
            return self.content
        with open_source(source) as stream, reading(source):
            stream.seek(self.offset)
            content = stream.read(self.size)
        if len(content) < self.size:
            raise InputError(f"{name} is cut off.")
        return content


class _StrictHeader(tarfile.TarInfo):
    """A header that says so when it is damaged or missing, where tarfile would see the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # a private class: the end as it should be
                raise
            raise tarfile.ReadError(f"{error} at byte {archive.offset}") from error


def _parts(source: str, limit: int) -> Iterator[_Part]:
    """The files of a tar; the content comes along where it cannot be found again by its place."""
    unpack = _UNPACK.get(ending_path(source).rpartition(".")[2])
    inline = unpack is not None or is_url(source)
    try:
        with (
            open_source(source) as packed,
            reading(source),
            unpack(packed) if unpack else packed as stream,
            tarfile.open(
                fileobj=stream, mode="r|" if inline else "r:", tarinfo=_StrictHeader
            ) as archive,
        ):
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                if not member.isdir():
                    yield _part(archive, member, limit, inline=inline or member.issparse())
            if unpack is not None:
                _read_to_end(stream)
    except (tarfile.TarError, lzma.LZMAError) as error:
        reason = str(error).rstrip(".")
        raise InputError(f"{printable(source)} is no sound tar file: {reason}.") from error


def _read_to_end(stream: BinaryIO) -> None:
    """Have the checksum looked at, which stands at the very end."""
    while stream.read(READ_AT_ONCE):
        continue


def _part(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int, *, inline: bool) -> _Part:
    name, size = member.name, member.size
    if not member.isfile():
        return _Part(name=name, size=0, fault="is a link or a device")
    if size > limit:
        error = too_large(name, limit)
        return _Part(name=name, size=0, fault=str(error).removeprefix(printable(name)).strip(" ."))
    if not inline:
        return _Part(name=name, size=size, offset=member.offset_data)
    stream = archive.extractfile(member)
    return _Part(name=name, size=size, content=stream.read() if stream else b"")


def _samples(group: list[_Part]) -> list[list[_Part]]:
    """A sample of all files in a row with one key, or each on its own."""
    endings = {part.ending for part in group}
    pictures = all(_is_picture(part) and "." not in part.ending for part in group)
    alone = len(endings) < len(group) or pictures or any(part.fault for part in group)
    return [[part] for part in group] if alone else [group]


def _is_picture(part: _Part) -> bool:
    return guess_type(part.name).startswith("image/")


def _single(source: str, name: str, parts: list[_Part], options: ReadOptions) -> Input:
    field = options.field_name
    kind = sent_type(parts[0].name, options)
    return Input(
        id=name,
        read=functools.partial(_read_single, source, parts[0], field, kind),
        headers=request_headers({field: kind}, options.headers, content_type=kind),
        size=parts[0].size,
    )


def _sample(source: str, name: str, parts: list[_Part], options: ReadOptions) -> Input:
    main = min(parts, key=lambda part: (not _is_picture(part), "." in part.ending))
    fields = {part.ending: part for part in parts}
    if options.column is None:
        fields = {"data": main, **{key: part for key, part in fields.items() if part is not main}}
    return Input(
        id=name,
        read=functools.partial(_read_sample, source, fields, options),
        headers=request_headers(
            {key: guess_type(part.name) for key, part in fields.items()}, options.headers
        ),
        size=sum(part.size for part in parts),
    )


def _read_single(source: str, part: _Part, field: str, content_type: str) -> dict[str, Any]:
    return body_request(field, part.read(source), content_type)


def _read_sample(source: str, fields: dict[str, _Part], options: ReadOptions) -> dict[str, Any]:
    """A sample is a form with files: each is decoded by what its ending says."""
    column = options.column
    if column is not None:
        fields = {name: part for name, part in fields.items() if name == column}
    row = {
        name: decode(part.read(source), "" if options.raw else guess_type(part.name))
        for name, part in fields.items()
    }
    return row if column is None else as_request(row, options=options, key="data")
