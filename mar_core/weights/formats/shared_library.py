"""Shared libraries, as AOTInductor compiled before it had packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.weights.compiled import load_compiled, no_advice
from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.compiled import AnyBatch
    from mar_core.weights.weights_format import ModelSource, WeightsFile, WeightsReport

__all__ = ["FORMAT"]

_MARKS = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


def _identify(file: WeightsFile) -> bool:
    return file.head.startswith(_MARKS)


def _examine(_: WeightsFile, report: WeightsReport) -> None:
    report.fault("MAR-W013", "The file is native code, which runs when it is loaded.")


def _load(source: ModelSource) -> AnyBatch:
    return load_compiled(source, _load_library)


def _load_library(source: ModelSource) -> Any:
    """Load it through ``handler._load_torch_export_aot_compile``, which a handler may override."""
    config = source.context.model_yaml_config or {}
    export = (config.get("pt2") or {}).get("export") if isinstance(config.get("pt2"), dict) else {}
    if not (export or {}).get("aot_compile"):
        raise ModelError(
            f"{source.name} is a shared library, and nothing says that AOTInductor made it.",
            hint="Put `pt2: {export: {aot_compile: true}}` into the file given as --config-file.",
        )
    with no_advice("torch._export"):
        return source.handler._load_torch_export_aot_compile(  # noqa: SLF001 - TorchServe's name
            str(source.path)
        )


FORMAT = WeightsFormat(
    name="shared-library",
    title="a shared library",
    trust=Trust.PYTHON,
    identify=_identify,
    examine=_examine,
    load=_load,
    carries_structure=True,
    endings=(".so",),
    written_by="`torch._export.aot_compile`",
    loaded_by="native code, with `pt2: {export: {aot_compile: true}}` in the "
    "[config](model-config.md)",
    rank=0,
)
