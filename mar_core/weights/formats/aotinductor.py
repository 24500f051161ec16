"""AOTInductor packages (``.pt2``): native code, weights, and Python that binds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.weights.compiled import load_compiled
from mar_core.weights.formats.exported import list_payloads
from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.compiled import AnyBatch
    from mar_core.weights.weights_format import ModelSource, WeightsFile, WeightsReport

__all__ = ["FORMAT"]


def _identify(file: WeightsFile) -> bool:
    return any(name.startswith("data/aotinductor/") for name in file.records)


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    report.fault("MAR-W013", "The file holds native code, which runs when it is loaded.")
    list_payloads(file, report)


def _load(source: ModelSource) -> AnyBatch:
    return load_compiled(source, _load_package)


def _load_package(source: ModelSource) -> Any:
    from torch._inductor import aoti_load_package

    index = -1 if source.device.index is None else source.device.index
    model = aoti_load_package(str(source.path), device_index=index)
    compiled_for = model.get_metadata().get("AOTI_DEVICE_KEY", source.device.type)
    if compiled_for != source.device.type:
        raise ModelError(
            f"{source.name} was compiled for {compiled_for}, and this runs on {source.device}.",
            hint=f"Run it with --device {compiled_for}, or compile it for {source.device.type}.",
        )
    return model


FORMAT = WeightsFormat(
    name="aotinductor",
    title="an AOTInductor package",
    trust=Trust.PYTHON,
    identify=_identify,
    examine=_examine,
    load=_load,
    carries_structure=True,
    endings=(".pt2",),
    written_by="`torch._inductor.aoti_compile_and_package`",
    loaded_by="native code, on the kind of machine that it was compiled for",
    rank=2,
)
