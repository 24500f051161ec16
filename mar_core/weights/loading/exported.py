"""Programs that ``torch.export.save`` wrote: files that carry their own structure."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.weights.loading.any_batch import AnyBatch
from mar_core.weights.loading.trust import check_pickles

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch.export import ExportedProgram

    from mar_core.weights.loading.source import ModelSource

__all__ = ["load"]


def load(source: ModelSource) -> Any:
    """Load an exported program as a module on the device.

    A program that was exported for one batch size is called as often as that asks for.

    Raises:
        ModelError: The file is damaged, made by another version of PyTorch, or holds pickles that
            are not safe to load.
    """
    import torch

    check_pickles(source)
    try:
        with _no_advice():
            program = torch.export.load(str(source.path))
    except Exception as error:  # torch.export raises nearly anything
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error) else "it is damaged"
        raise ModelError(
            f"{source.name} is an exported program that cannot be loaded: {reason}.",
            hint="Export it again with the PyTorch that is installed here.",
        ) from error
    module = _fixed_in_evaluation(_on_device(program, source.device).module())
    size = _batch_size(program)
    return module if size is None else AnyBatch(module, size=size)


def _on_device(program: ExportedProgram, device: torch.device) -> ExportedProgram:
    """The program on a device; it was exported for one."""
    from torch.export.passes import move_to_device_pass

    places = {tensor.device.type for tensor in program.state_dict.values()}
    if not places or places == {device.type} == {"cpu"}:
        return program
    return move_to_device_pass(program, str(device))


def _fixed_in_evaluation(module: torch.nn.Module) -> torch.nn.Module:
    """Exported in one mode, it has no other; ``eval()`` would raise."""
    module.eval = lambda: module  # type: ignore[method-assign]
    module.train = lambda mode=True: module  # type: ignore[method-assign] # noqa: ARG005
    return module


def _batch_size(program: ExportedProgram) -> int | None:
    """The size of the first dimension of all tensors that the program takes, if it is fixed."""
    wanted = set(program.graph_signature.user_inputs)
    shapes = [
        node.meta["val"].shape
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in wanted and hasattr(node.meta["val"], "shape")
    ]
    sizes = [shape[0] if len(shape) else None for shape in shapes]
    fixed = {size for size in sizes if isinstance(size, int)}  # one that may vary is a SymInt
    everywhere = len(fixed) == 1 and all(isinstance(size, int) for size in sizes)
    return fixed.pop() if everywhere else None


@contextmanager
def _no_advice() -> Iterator[None]:
    """Keep torch.export's advice on old files out of the results' way."""
    logger = logging.getLogger("torch.export.pt2_archive._package")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
