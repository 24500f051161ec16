"""Files that hold others: compressed ones, as joblib and pandas write them, tars, and zips.

What is inside is looked at.
"""

from __future__ import annotations

import tempfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mar_core.errors import ModelError
from mar_core.weights.registry import look_inside
from mar_core.weights.weights_format import Trust, WeightsFormat
from mar_core.weights.zipindex import check_layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["COMPRESSED", "TAR", "ZIP"]

_CHUNK = 256 << 10
_STEP = 1 << 10  # what is damaged is followed so closely
_IN_MEMORY = 8 << 20
_INFLATING = 4  # what unpacking a byte costs, in bytes read
_DEFLATE = 8
_LZMA_HEADER, _LZMA_CODERS, _LZMA_LONGEST = 13, 9 * 5 * 5, 1 << 38
_LZMA_MEMORY = 100 << 20  # what the strongest preset takes, and more
_MARKS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"ZF0x", b"x\x01", b"x\x9c", b"x\xda")  # no text
_OLD_JOBLIB = b"ZF0x"
_OLD_JOBLIB_HEADER = 2 + len(hex(2**64))
# LZ4 frames and Zstandard, which Python 3.11 cannot unpack.
_CLOSED = {b"\x04\x22\x4d\x18": "LZ4", b"\x28\xb5\x2f\xfd": "Zstandard"}
_TAR_BLOCK, _TAR_BINARY = 512, (0x80, 0xFF)
_TAR_HEADER = 4096  # what reading one header costs, in bytes read


def _opener(head: bytes) -> tuple[Callable[[], Any], int] | None:
    """What unpacks a file that begins so, and where its packed bytes begin."""
    if head.startswith(b"\x1f\x8b"):
        return (lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)), 0
    if head.startswith(b"BZh"):
        import bz2

        return bz2.BZ2Decompressor, 0
    if head.startswith(b"\xfd7zXZ") or _is_lzma(head):
        import lzma

        return (lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)), 0
    if head.startswith(_OLD_JOBLIB):
        return zlib.decompressobj, _OLD_JOBLIB_HEADER
    # Whatever the window's size, which the first half of the first byte says.
    if len(head) > 1 and head[0] & 0x8F == _DEFLATE and int.from_bytes(head[:2], "big") % 31 == 0:
        return zlib.decompressobj, 0
    return None


def _is_lzma(head: bytes) -> bool:
    """Whether a file begins as one of the old format, which has no mark: by what liblzma takes."""
    window, size = int.from_bytes(head[1:5], "little"), int.from_bytes(head[5:13], "little")
    return (
        len(head) > _LZMA_HEADER
        and head[0] < _LZMA_CODERS
        and window.bit_count() in {1, 2, 32}
        and (size < _LZMA_LONGEST or size == 2**64 - 1)
    )


def _wants_memory(error: BaseException) -> bool:
    """Whether unpacking failed for want of memory, and not because of the bytes."""
    return isinstance(error, MemoryError) or "emory" in str(error)


def _faults() -> tuple[type[Exception], ...]:
    """What unpacking raises where the bytes are wrong."""
    import lzma

    return zlib.error, OSError, lzma.LZMAError, EOFError, MemoryError


def _is_compressed(file: WeightsFile) -> bool:
    if file.head.startswith(tuple(_CLOSED)):
        return True
    opener = _opener(file.head)
    if opener is None:
        return False
    make, start = opener
    file.stream.seek(start)
    try:  # two bytes are no proof: text may begin with them
        make().decompress(file.stream.read(_CHUNK), 1)
    except _faults() as error:
        return _wants_memory(error)
    return True


def _examine_compressed(file: WeightsFile, report: WeightsReport) -> None:
    opener = _opener(file.head)
    if opener is None:
        closed = next(what for mark, what in _CLOSED.items() if file.head.startswith(mark))
        report.fault("MAR-W005", f"The file is compressed with {closed} and cannot be checked.")
        return
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
        error = _unpack(file, opener, cast("BinaryIO", copy))
        if error is not None and _wants_memory(error):
            report.fault("MAR-W005", "What is compressed takes too much memory to be checked.")
        elif error is not None and file.head.startswith(_MARKS):
            report.fault("MAR-W005", "What is compressed is damaged and cannot be checked.")
        copy.seek(0)
        look_inside(file, cast("BinaryIO", copy), "what is compressed in it", report)


def _unpack(
    file: WeightsFile, opener: tuple[Callable[[], Any], int], copy: BinaryIO
) -> Exception | None:
    """Unpack as far as it goes: so much of it would be read. Streams may follow one another.

    Returns:
        Why it ended inside a stream. Of one that is damaged readers get some bytes more than come
        here before they find out.
    """
    make, start = opener
    file.stream.seek(start)
    machine, data, begun = make(), file.stream.read(_CHUNK), True
    step = _CHUNK if file.head.startswith(_MARKS) else _STEP
    try:
        while data or not getattr(machine, "needs_input", True):
            out = machine.decompress(data, step)
            begun = begun or bool(out)
            file.budget.spend((len(out) + 1) * _INFLATING)
            copy.write(out)
            if machine.eof:
                data = _next_stream(file, machine.unused_data)
                machine, begun = make(), False
            elif hasattr(machine, "needs_input"):  # bz2's and lzma's
                data = file.stream.read(_CHUNK) if machine.needs_input else b""
            else:
                data = machine.unconsumed_tail or file.stream.read(_CHUNK)
    except _faults() as error:  # what stands behind a stream and is none is passed by
        return error if begun or _wants_memory(error) else None
    return None


def _next_stream(file: WeightsFile, data: bytes) -> bytes:
    """What stands behind a stream; zeros between two are passed by, as gzip does."""
    while not (rest := data.lstrip(b"\0")) and (data := file.stream.read(_CHUNK)):
        file.budget.spend(len(data))
    return rest


def _is_tar(file: WeightsFile) -> bool:
    return file.head[257:262] == b"ustar" or _has_checksum(file.head)


def _has_checksum(head: bytes) -> bool:
    """Whether a file begins as tars did before there was the mark: tarfile reads those, too."""
    field = head[148:156]
    if len(head) < _TAR_BLOCK:
        return False
    if field[0] in _TAR_BINARY:
        told = int.from_bytes(field[1:], "big")
    else:
        try:
            told = int(field.split(b"\0")[0].strip() or b"0", 8)
        except ValueError:
            return False
    sums = (
        sum(head) - sum(field),
        sum(memoryview(head).cast("b")) - sum(memoryview(field).cast("b")),
    )
    return told - 8 * ord(" ") in sums and any(head)


def _examine_tar(file: WeightsFile, report: WeightsReport) -> None:
    import tarfile

    file.stream.seek(0)
    try:
        with tarfile.open(fileobj=file.stream, mode="r:") as tar:
            for member in tar:
                file.budget.spend(_TAR_HEADER)
                tar.members = []  # type: ignore[attr-defined] # it would keep all that it has seen
                stream = tar.extractfile(member) if member.isreg() else None
                if stream is not None:
                    place = cast("BinaryIO", stream)
                    look_inside(file, place, f"its {member.name[:100]}", report)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        report.fault("MAR-W005", f"The tar cannot be read to its end: {type(error).__name__}.")


def _is_zip(file: WeightsFile) -> bool:
    """By its first bytes, or by its last: Python's zipfile goes by these alone."""
    return file.head.startswith(b"PK\x03\x04") or file.hidden_zip is not None


def _examine_zip(file: WeightsFile, report: WeightsReport) -> None:
    if file.hidden_zip is not None:
        report.fault("MAR-W008", "The file is no exact zip: it ends as one and begins otherwise.")
        return
    entries = file.entries
    if file.zip_fault:
        report.fault("MAR-W008", f"The file is no exact zip: {file.zip_fault}.")
        return
    try:
        check_layout(file.stream, entries)
        for entry in entries:
            with file.record(entry) as stream:
                look_inside(file, stream, f"its {entry.name}", report)
    except ModelError as error:
        report.fault("MAR-W008", f"The file is no exact zip: {error.message}.")


COMPRESSED = WeightsFormat(
    name="compressed",
    title="a compressed file",
    trust=Trust.DATA,
    identify=_is_compressed,
    examine=_examine_compressed,
    written_by="`joblib.dump(…, compress=3)`, gzip",
    loaded_by="by the handler, not by mar; what is in it decides",
    hint="Save the model's state dict with torch.save or safetensors.",
    rank=30,
)
TAR = WeightsFormat(
    name="tar",
    title="a tar",
    trust=Trust.DATA,
    identify=_is_tar,
    examine=_examine_tar,
    hint="Give the file that is in it.",
    rank=30,
)
ZIP = WeightsFormat(
    name="zip",
    title="a zip that PyTorch did not write, or a damaged one",
    trust=Trust.DATA,
    identify=_is_zip,
    examine=_examine_zip,
    hint="Save it again, or download it again.",
    rank=40,
)
