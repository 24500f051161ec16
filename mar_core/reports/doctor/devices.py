"""Imports PyTorch and says what it is and which devices it sees.

Run by ``mar doctor`` as ``python -m mar_core.reports.doctor.devices``, in a process of its own: an
installation may be so broken that importing it ends the process.
"""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["torch_facts"]


def torch_facts() -> dict[str, Any]:
    """What PyTorch is and sees.

    Returns:
        ``build``; ``devices``, each with its name and what it is; ``accelerators``, how many of
        them mar could choose from; ``warnings`` that PyTorch gave; ``errors`` by package.
    """
    answer: dict[str, Any] = {
        "build": "", "devices": [], "accelerators": 0, "warnings": [], "errors": {},
    }  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _attempt(answer, "torch", _look_at_torch)
        _attempt(answer, "torchvision", _look_at_torchvision)
    answer["warnings"] = [
        " ".join(str(warning.message).split())
        for warning in caught
        if not issubclass(warning.category, DeprecationWarning)
    ]
    return answer


def _attempt(answer: dict[str, Any], package: str, look: Callable[[dict[str, Any]], None]) -> None:
    try:
        look(answer)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an import raises
        answer["errors"][package] = f"{type(error).__name__}: {' '.join(str(error).split())}"


def _look_at_torch(answer: dict[str, Any]) -> None:
    import torch

    from mar_core.ts.device import accelerators

    answer["build"] = _build(torch)
    answer["devices"].append(("cpu", f"{torch.get_num_threads()} threads"))
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            seen = torch.cuda.get_device_properties(index)
            answer["devices"].append(
                (f"cuda:{index}", f"{seen.name}, {seen.total_memory / 1e9:.1f} GB")
            )
    if torch.backends.mps.is_available():
        answer["devices"].append(("mps", "Apple's Metal"))
    if torch.xpu.is_available():
        answer["devices"] += [(f"xpu:{i}", "Intel's XPU") for i in range(torch.xpu.device_count())]
    answer["accelerators"] = accelerators()


def _build(torch: Any) -> str:
    """What it was built for."""
    versions = (("CUDA", torch.version.cuda), ("ROCm", torch.version.hip))
    return next((f"{name} {version}" for name, version in versions if version), "CPU")


def _look_at_torchvision(answer: dict[str, Any]) -> None:  # noqa: ARG001 - as its neighbour
    import torchvision  # noqa: F401 - that it can be imported is all


def _main() -> None:
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever an import prints, also from C, is not the answer
    json.dump(torch_facts(), output)
    output.flush()
    os._exit(0)  # threads that an import started must not keep us


if __name__ == "__main__":
    _main()
