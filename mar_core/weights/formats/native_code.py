"""Native code: what AOTInductor compiled, in a package or a library, and TensorRT's engines.

A package (``.pt2``) holds code, weights, and Python that binds them. Before there were packages,
AOTInductor made shared libraries. Engines of TensorRT are loaded by a handler alone.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.text import first_line
from mar_core.weights.formats.exported import AnyBatch, list_payloads, no_advice
from mar_core.weights.weights_format import Trust, WeightsFormat, require_trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.weights.weights_format import ModelSource, WeightsFile, WeightsReport

__all__ = ["AOTINDUCTOR", "SHARED_LIBRARY", "TENSORRT"]

_LIBRARIES = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_ENGINES = (b"ftrt", b"ptrt")
# Compiled code takes its input's shape on trust unless it is told to look.
_CHECK_INPUTS = "AOTI_RUNTIME_CHECK_INPUTS"
_COMPLAINT = re.compile(r"unmatched dim value at 0, expected: (\d+)")


def _is_package(file: WeightsFile) -> bool:
    return any(name.startswith("data/aotinductor/") for name in file.records)


def _examine_package(file: WeightsFile, report: WeightsReport) -> None:
    report.fault("MAR-W013", "The file holds native code, which runs when it is loaded.")
    list_payloads(file, report)


def _load_package(source: ModelSource) -> AnyBatch:
    def load() -> Any:
        from torch._inductor import aoti_load_package

        index = -1 if source.device.index is None else source.device.index
        model = aoti_load_package(str(source.path), device_index=index)
        compiled_for = model.get_metadata().get("AOTI_DEVICE_KEY", source.device.type)
        if compiled_for != source.device.type:
            raise ModelError(
                f"{source.name} was compiled for {compiled_for}, and this runs on {source.device}.",
                hint=f"Run it with --device {compiled_for}, or compile it for "
                f"{source.device.type}.",
            )
        return model

    return _load_compiled(source, load)


def _is_library(file: WeightsFile) -> bool:
    return file.head.startswith(_LIBRARIES)


def _examine_library(_: WeightsFile, report: WeightsReport) -> None:
    report.fault("MAR-W013", "The file is native code, which runs when it is loaded.")


def _load_library(source: ModelSource) -> AnyBatch:
    """Load it through ``handler._load_torch_export_aot_compile``, which a handler may override."""

    def load() -> Any:
        config = source.context.model_yaml_config or {}
        pt2 = config.get("pt2")
        export = (pt2.get("export") if isinstance(pt2, dict) else None) or {}
        if not export.get("aot_compile"):
            raise ModelError(
                f"{source.name} is a shared library, and nothing says that AOTInductor made it.",
                hint="Put `pt2: {export: {aot_compile: true}}` into the file given as "
                "--config-file.",
            )
        with no_advice("torch._export"):
            return source.handler._load_torch_export_aot_compile(  # noqa: SLF001 - TorchServe's name
                str(source.path)
            )

    return _load_compiled(source, load)


def _load_compiled(source: ModelSource, load: Callable[[], Any]) -> AnyBatch:
    """Load compiled native code.

    Raises:
        ModelError: It is not trusted, or was compiled for another device, machine or PyTorch.
    """
    require_trust(source, "native code, which runs when it is loaded")
    os.environ.setdefault(_CHECK_INPUTS, "1")
    try:
        model = load()
    except (RuntimeError, OSError, ValueError) as error:
        reason = first_line(error)
        raise ModelError(
            f"{source.name} is compiled code that cannot be loaded here: {reason}.",
            hint="Compile it again with AOTInductor on a machine like this one, with its PyTorch.",
        ) from error
    return AnyBatch(model, complaint=_COMPLAINT)


def _is_engine(file: WeightsFile) -> bool:
    return file.head.startswith(_ENGINES)


def _examine_engine(_: WeightsFile, report: WeightsReport) -> None:
    report.fault("MAR-W013", "The file is a TensorRT engine, native code that runs when loaded.")


AOTINDUCTOR = WeightsFormat(
    name="aotinductor",
    title="an AOTInductor package",
    trust=Trust.PYTHON,
    identify=_is_package,
    examine=_examine_package,
    load=_load_package,
    carries_structure=True,
    endings=(".pt2",),
    written_by="`torch._inductor.aoti_compile_and_package`",
    loaded_by="native code, on the kind of machine that it was compiled for",
    rank=2,
)
SHARED_LIBRARY = WeightsFormat(
    name="shared-library",
    title="a shared library",
    trust=Trust.PYTHON,
    identify=_is_library,
    examine=_examine_library,
    load=_load_library,
    carries_structure=True,
    endings=(".so",),
    written_by="`torch._export.aot_compile`",
    loaded_by="native code, with `pt2: {export: {aot_compile: true}}` in the "
    "[config](model-config.md)",
    rank=0,
)
TENSORRT = WeightsFormat(
    name="tensorrt",
    title="a TensorRT engine",
    trust=Trust.PYTHON,
    identify=_is_engine,
    examine=_examine_engine,
    carries_structure=True,
    endings=(".engine", ".plan"),
    written_by="TensorRT",
    loaded_by="by the handler, not by mar",
    hint="Load it in the handler's own initialize.",
    rank=0,
)
