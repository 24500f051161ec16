"""Compressed files, as joblib and pandas write them: what is inside is looked at."""

from __future__ import annotations

import tempfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mar_core.weights.inside import look_inside
from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT"]

_CHUNK = 256 << 10
_IN_MEMORY = 8 << 20
_INFLATING = 4  # what unpacking a byte costs, in bytes read
_OLD_JOBLIB = b"ZF0x"
_OLD_JOBLIB_HEADER = 2 + len(hex(2**64))
# LZ4 frames and Zstandard, which Python 3.11 cannot unpack.
_CLOSED = {b"\x04\x22\x4d\x18": "LZ4", b"\x28\xb5\x2f\xfd": "Zstandard"}


def _opener(head: bytes) -> tuple[Callable[[], Any], int] | None:
    """What unpacks a file that begins so, and where its packed bytes begin."""
    if head.startswith(b"\x1f\x8b"):
        return (lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)), 0
    if head.startswith(b"BZh"):
        import bz2

        return bz2.BZ2Decompressor, 0
    if head.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        import lzma

        return lzma.LZMADecompressor, 0
    if head.startswith(_OLD_JOBLIB):
        return zlib.decompressobj, _OLD_JOBLIB_HEADER
    if head[:1] == b"x" and len(head) > 1 and int.from_bytes(head[:2], "big") % 31 == 0:
        return zlib.decompressobj, 0
    return None


def _faults() -> tuple[type[Exception], ...]:
    """What unpacking raises where the bytes are wrong."""
    import lzma

    return zlib.error, OSError, lzma.LZMAError, EOFError


def _identify(file: WeightsFile) -> bool:
    if file.head.startswith(tuple(_CLOSED)):
        return True
    opener = _opener(file.head)
    if opener is None:
        return False
    make, start = opener
    file.stream.seek(start)
    try:  # two bytes are no proof: text may begin with them
        make().decompress(file.stream.read(_CHUNK), 1)
    except _faults():
        return False
    return True


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    opener = _opener(file.head)
    if opener is None:
        closed = next(what for mark, what in _CLOSED.items() if file.head.startswith(mark))
        report.fault("MAR-W005", f"The file is compressed with {closed} and cannot be checked.")
        return
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
        _unpack(file, opener, cast("BinaryIO", copy))
        copy.seek(0)
        look_inside(file, cast("BinaryIO", copy), "what is compressed in it", report)


def _unpack(file: WeightsFile, opener: tuple[Callable[[], Any], int], copy: BinaryIO) -> None:
    """Unpack as far as it goes: so much of it would be read; streams may follow one another."""
    make, start = opener
    file.stream.seek(start)
    machine, data = make(), file.stream.read(_CHUNK)
    try:
        while data or not getattr(machine, "needs_input", True):
            out = machine.decompress(data, _CHUNK)
            file.budget.spend((len(out) + 1) * _INFLATING)
            copy.write(out)
            if machine.eof:
                data = machine.unused_data or file.stream.read(_CHUNK)
                machine = make()
            elif hasattr(machine, "needs_input"):  # bz2's and lzma's
                data = file.stream.read(_CHUNK) if machine.needs_input else b""
            else:
                data = machine.unconsumed_tail or file.stream.read(_CHUNK)
    except _faults():
        return


FORMAT = WeightsFormat(
    name="compressed",
    title="a compressed file",
    trust=Trust.DATA,
    identify=_identify,
    examine=_examine,
    written_by="`joblib.dump(…, compress=3)`, gzip",
    loaded_by="by the handler, not by mar; what is in it decides",
    hint="Save the model's state dict with torch.save or safetensors.",
    rank=30,
)
