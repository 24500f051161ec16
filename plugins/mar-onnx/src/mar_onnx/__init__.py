"""ONNX as a format of weights: known by its content, looked at, and run by onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import Trust, WeightsFormat, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core import ModelSource, WeightsFile, WeightsReport

__all__ = ["mar_register_weights_formats"]


@hookimpl
def mar_register_weights_formats(register: Callable[[WeightsFormat], None]) -> None:
    """Offer the format ``onnx``."""
    register(
        WeightsFormat(
            name="onnx",
            title="an ONNX model",
            trust=Trust.PROGRAM,
            identify=_identify,
            examine=_examine,
            load=_load,
            carries_structure=True,
            endings=(".onnx",),
            written_by="`torch.onnx.export`",
            loaded_by="onnxruntime",
        )
    )


def _identify(file: WeightsFile) -> bool:
    from mar_onnx.protobuf import is_onnx

    return is_onnx(file)


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    from mar_onnx.examine import examine

    examine(file, report)


def _load(source: ModelSource) -> object:
    from mar_onnx.model import load

    assert source.path is not None  # noqa: S101 - there is a format only where there is a file
    return load(source.path, source.device)
