"""Weights that hold their network: all that ``base_handler`` needs. This is ``mar-importers``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mar_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mar_core.build.request import ArchiveRequest, Imported

__all__ = ["mar_import", "mar_register_importers"]

HANDLER = "base_handler"


@hookimpl
def mar_register_importers(register: Callable[[str], None]) -> None:
    """Say what is looked for."""
    register("weights that hold their network: TorchScript, .pt2, ONNX")


@hookimpl(trylast=True)
def mar_import(source: Path, request: ArchiveRequest) -> Imported | None:
    """Take a file of weights that needs no other one."""
    from mar_core.build.request import Imported
    from mar_core.weights.registry import identify

    if not source.is_file():
        return None
    with source.open("rb") as stream:
        kind = identify(stream)
    if not kind.carries_structure:
        return None
    reasons = [f"{source.name} are the weights, with their network"]
    if not request.handler:
        reasons.append(f"{HANDLER} takes tensors and gives what the network gives")
    return Imported(
        what=kind.title,
        request=replace(request, handler=request.handler or HANDLER, serialized_file=source),
        reasons=tuple(reasons),
    )
