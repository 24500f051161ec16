"""A tar: what is inside is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

from mar_core.weights.registry import look_inside
from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT"]

_BLOCK, _BINARY = 512, (0x80, 0xFF)
_HEADER = 4096  # what reading one header costs, in bytes read


def _identify(file: WeightsFile) -> bool:
    return file.head[257:262] == b"ustar" or _has_checksum(file.head)


def _has_checksum(head: bytes) -> bool:
    """Whether a file begins as tars did before there was the mark: tarfile reads those, too."""
    field = head[148:156]
    if len(head) < _BLOCK:
        return False
    if field[0] in _BINARY:
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


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    import tarfile

    file.stream.seek(0)
    try:
        with tarfile.open(fileobj=file.stream, mode="r:") as tar:
            for member in tar:
                file.budget.spend(_HEADER)
                tar.members = []  # type: ignore[attr-defined] # it would keep all that it has seen
                stream = tar.extractfile(member) if member.isreg() else None
                if stream is not None:
                    place = cast("BinaryIO", stream)
                    look_inside(file, place, f"its {member.name[:100]}", report)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        report.fault("MAR-W005", f"The tar cannot be read to its end: {type(error).__name__}.")


FORMAT = WeightsFormat(
    name="tar",
    title="a tar",
    trust=Trust.DATA,
    identify=_identify,
    examine=_examine,
    hint="Give the file that is in it.",
    rank=30,
)
