"""What AOTInductor compiled: packages (``.pt2``) and, from before them, shared libraries."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.weights import WeightsKind
from mar_core.weights.loading.any_batch import AnyBatch

if TYPE_CHECKING:
    from mar_core.weights.loading.source import ModelSource

__all__ = ["load"]

# Compiled code takes its input's shape on trust unless it is told to look.
_CHECK_INPUTS = "AOTI_RUNTIME_CHECK_INPUTS"
_COMPLAINT = re.compile(r"unmatched dim value at 0, expected: (\d+)")


def load(source: ModelSource) -> AnyBatch:
    """Load compiled native code.

    Raises:
        ModelError: It was compiled for another device, machine or PyTorch; or a shared library is
            not announced by ``pt2.export.aot_compile`` in model-config.yaml.
    """
    os.environ.setdefault(_CHECK_INPUTS, "1")
    try:
        if source.kind is WeightsKind.SHARED_LIBRARY:
            model = _load_library(source)
        else:
            model = _load_package(source)
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ModelError(
            f"{source.name} is compiled code that cannot be loaded here: {reason}.",
            hint="Compile it again with AOTInductor on a machine like this one, with its PyTorch.",
        ) from error
    return AnyBatch(model, complaint=_COMPLAINT)


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


def _load_library(source: ModelSource) -> Any:
    """Load it through ``handler._load_torch_export_aot_compile``, which a handler may override."""
    config = source.context.model_yaml_config or {}
    export = (config.get("pt2") or {}).get("export") if isinstance(config.get("pt2"), dict) else {}
    if not (export or {}).get("aot_compile"):
        raise ModelError(
            f"{source.name} is a shared library, and nothing says that AOTInductor made it.",
            hint="Put `pt2: {export: {aot_compile: true}}` into the file given as --config-file.",
        )
    logger = logging.getLogger("torch._export")
    before = logger.level
    logger.setLevel(logging.ERROR)  # that there is a newer format is nothing to mend at run time
    try:
        return source.handler._load_torch_export_aot_compile(  # noqa: SLF001 - TorchServe's name
            str(source.path)
        )
    finally:
        logger.setLevel(before)
