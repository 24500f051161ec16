"""``torch.save`` before 0.2: a tar, which no safe loader reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT"]

_MEMBERS = {b"storages", b"tensors", b"pickle"}


def _identify(file: WeightsFile) -> bool:
    return file.head[257:262] == b"ustar" and _first_name(file) in _MEMBERS


def _first_name(file: WeightsFile) -> bytes:
    return file.head[:100].split(b"\0", 1)[0].removeprefix(b"./")


def _examine(_: WeightsFile, report: WeightsReport) -> None:
    report.fault("MAR-W009", "The file is in torch's tar format, which no safe loader reads.")


FORMAT = WeightsFormat(
    name="torch-tar",
    title="in the tar format of PyTorch before 0.2, which cannot be loaded safely",
    trust=Trust.PYTHON,
    identify=_identify,
    examine=_examine,
    hint="Load it with the PyTorch that wrote it and save its state dict again.",
    rank=0,
)
