"""Why a zip has no end record that fits: it was cut off, or something follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.format.zip_records import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    END,
    END64,
    END64_SIGNATURE,
    END_SIGNATURE,
    EXTRA_ZIP64,
    HAS_DESCRIPTOR,
    LOCAL,
    LOCAL_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    MAX32,
    LocalHeader,
    extra_fields,
    zip64_values,
)

if TYPE_CHECKING:
    from mar_core.format.zip_records import ZipSource

__all__ = ["explain_missing_end"]

_MOST_RECORDS = 30_000


def explain_missing_end(file: ZipSource) -> Exception:
    """Walk from the front as far as records say how long they are."""
    position = 0
    for _ in range(_MOST_RECORDS):
        signature = file.read_at(position, 4)
        if signature == END_SIGNATURE:
            return _after_end(file, position)
        length = _length(file, signature, position)
        if length is None:
            break
        if position + length > file.size:
            return _cut_off(file)
        position += length
    if position + 4 > file.size:
        return _cut_off(file)
    message = (
        f"The end record is missing: the file was cut off at byte {file.size:,}, or is damaged."
    )
    return file.refuse("MAR-A005", message)


def _cut_off(file: ZipSource) -> Exception:
    message = f"The file was cut off at byte {file.size:,}; the rest is missing."
    return file.refuse("MAR-A005", message)


def _after_end(file: ZipSource, position: int) -> Exception:
    record = file.read_at(position, END.size)
    if len(record) < END.size:
        return _cut_off(file)
    after = file.size - position - END.size - END.unpack(record)[-1]
    if after < 0:
        return _cut_off(file)
    return file.refuse("MAR-A007", f"{after:,} bytes stand behind the end of the archive.")


def _length(file: ZipSource, signature: bytes, position: int) -> int | None:
    """The length of the record there with what belongs to it, or None where that is unknown."""
    fixed = {END64_SIGNATURE: END64.size, LOCATOR_SIGNATURE: LOCATOR.size}
    if signature in fixed:
        return fixed[signature]
    if signature == CENTRAL_SIGNATURE:
        raw = file.read_at(position, CENTRAL.size)
        if len(raw) < CENTRAL.size:
            return CENTRAL.size
        name, extra, comment = CENTRAL.unpack(raw)[10:13]
        return int(CENTRAL.size + name + extra + comment)
    return _local_length(file, position) if signature == LOCAL_SIGNATURE else None


def _local_length(file: ZipSource, position: int) -> int | None:
    raw = file.read_at(position, LOCAL.size)
    if len(raw) < LOCAL.size:
        return LOCAL.size
    header = LocalHeader(*LOCAL.unpack(raw))
    if header.flags & HAS_DESCRIPTOR:
        return None
    start = LOCAL.size + header.name_length
    size = header.compressed_size
    if size == MAX32:
        extra = file.read_at(position + start, header.extra_length)
        size = _zip64_compressed_size(extra)
    return start + header.extra_length + size


def _zip64_compressed_size(extra: bytes) -> int:
    try:
        found = [zip64_values(data) for kind, data in extra_fields(extra) if kind == EXTRA_ZIP64]
    except ValueError:
        return 0
    return found[0][1] if found and len(found[0]) > 1 else 0
