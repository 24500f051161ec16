"""From an MLflow model's folder to what an archive of it holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mar_core import ArchiveRequest, Imported, UsageError
from mar_mlflow.mlmodel import FILE, MLmodel, read_mlmodel

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["imported"]

PYTORCH, PYFUNC = "mlflow_pytorch", "mlflow_pyfunc"
_PYTORCH, _PYFUNC = "pytorch", "python_function"
_WEIGHTS = ("model.pth", "model.pt2")


def imported(source: Path, request: ArchiveRequest) -> Imported | None:
    """What a folder is; None where it is no MLflow model, or to be served otherwise.

    Args:
        source: The folder.
        request: What the flags said.

    Raises:
        UsageError: Its ``MLmodel`` is damaged, or of other flavours.
    """
    own = {"", PYTORCH, PYFUNC}
    if not source.is_dir() or not (request.handler in own or request.handler.endswith(".py")):
        return None
    told = read_mlmodel(source)
    if told is None:
        return None
    if _PYTORCH in told.flavors and request.handler != PYFUNC:
        found = _pytorch(source, told, request)
    elif _PYFUNC in told.flavors and request.handler != PYTORCH:
        found = _pyfunc(source, told, request)
    else:
        names = ", ".join(sorted(told.flavors)) or "none"
        raise UsageError(
            f"{source / FILE} has the flavours {names}; pytorch and python_function can be run."
        )
    return _with_requirements(source, found)


def _pytorch(source: Path, told: MLmodel, request: ArchiveRequest) -> Imported:
    data = told.path(_PYTORCH, "model_data") or "data"
    weights = next((p for name in _WEIGHTS if (p := source / data / name).is_file()), None)
    if weights is None:
        raise UsageError(f"There is no {' or '.join(_WEIGHTS)} in {source / data}.")
    reasons = [
        f"{data}/{weights.name} is the model; mlflow is not needed",
        f"{FILE} says what it takes",
    ]
    extra: list[str | Path] = [source / FILE]
    code = told.path(_PYTORCH, "code")
    if code is not None and (source / code).is_dir():
        extra.append(source / code)
        reasons.append(f"what is in {code}/ can be imported")
    request = replace(
        request,
        handler=request.handler or PYTORCH,
        serialized_file=request.serialized_file or weights,
        extra_files=tuple(extra),
    )
    return Imported(
        what="an MLflow model of the flavour pytorch", request=request, reasons=tuple(reasons)
    )


def _pyfunc(source: Path, told: MLmodel, request: ArchiveRequest) -> Imported:
    loader = told.flavors[_PYFUNC].get("loader_module")
    reasons = (f"{loader} loads it, so mlflow must be installed where it runs",)
    request = replace(request, handler=request.handler or PYFUNC, extra_files=(source,))
    return Imported(what="an MLflow model of the flavour pyfunc", request=request, reasons=reasons)


def _with_requirements(source: Path, found: Imported) -> Imported:
    file = source / "requirements.txt"
    if not file.is_file() or found.request.requirements_file is not None:
        return found
    request = replace(found.request, requirements_file=file)
    return replace(found, request=request, reasons=(*found.reasons, f"{file.name} is MLflow's"))
