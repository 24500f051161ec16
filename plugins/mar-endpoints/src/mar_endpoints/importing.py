"""What a folder is, by the functions and classes that its Python files define; nothing is run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mar_core import ArchiveRequest, Imported, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HUGGINGFACE", "SAGEMAKER", "huggingface", "sagemaker"]

SAGEMAKER = "sagemaker"
HUGGINGFACE = "huggingface_endpoint"
_PROGRAM = "inference.py"
_MOST_SOURCE = 1 << 20
_FUNCTION = re.compile(rb"^def ([a-z]+_fn)\b", re.MULTILINE)
_FUNCTIONS = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
_CLASS = re.compile(rb"^(class EndpointHandler\b|EndpointHandler\s*=)", re.MULTILINE)
_IMPORTED_CLASS = re.compile(rb"^from .+ import .*\bEndpointHandler\b", re.MULTILINE)
_DEFAULT_WEIGHTS = "model.pt"
_WEIGHTS = (".pt", ".pth")


def sagemaker(source: Path, request: ArchiveRequest, folder: Path) -> Imported | None:
    """What is unpacked from a SageMaker ``model.tar.gz``, or a folder that becomes one.

    Args:
        source: The folder.
        request: What the flags said.
        folder: Where a model-config.yaml may be generated.

    Raises:
        UsageError: Nothing says which file the functions are in, or where the model is.
    """
    if not source.is_dir() or not _is_wanted(request, SAGEMAKER):
        return None
    program = _program(source / "code")
    if program is None and request.handler != SAGEMAKER:
        return None
    functions = _functions_in(program) if program else ()
    reasons = [_told(program, functions)]
    request = replace(request, handler=request.handler or SAGEMAKER, extra_files=(source,))
    if "model_fn" not in functions:
        weights = _only_weights(source)
        request = replace(request, serialized_file=request.serialized_file or weights)
        reasons.append(f"{weights.name} is the model, as there is no model_fn")
    if program is not None and program.name != _PROGRAM:
        config = folder / "model-config.yaml"
        config.write_text(f"handler:\n  program: {json.dumps(program.name)}\n", encoding="utf-8")
        request = replace(request, config_file=config)
    return _with_requirements(
        "a SageMaker model", request, source / "code" / "requirements.txt", reasons
    )


def huggingface(source: Path, request: ArchiveRequest) -> Imported | None:
    """A folder of Hugging Face's with a ``handler.py`` that says how it is served.

    Args:
        source: The folder.
        request: What the flags said.
    """
    if not source.is_dir() or not _is_wanted(request, HUGGINGFACE):
        return None
    text = _source(source / "handler.py")
    if not _CLASS.search(text) and not _IMPORTED_CLASS.search(text):
        return None
    reasons = ["handler.py has an EndpointHandler, which serves it"]
    request = replace(request, handler=request.handler or HUGGINGFACE, extra_files=(source,))
    what = "a Hugging Face Inference Endpoint"
    return _with_requirements(what, request, source / "requirements.txt", reasons)


def _is_wanted(request: ArchiveRequest, handler: str) -> bool:
    """Whether the user leaves it to us, names our handler, or has a file that serves the rest."""
    return request.handler in {"", handler} or request.handler.endswith(".py")


def _with_requirements(
    what: str, request: ArchiveRequest, file: Path, reasons: list[str]
) -> Imported:
    if file.is_file() and request.requirements_file is None:
        request = replace(request, requirements_file=file)
        reasons.append(f"{file.relative_to(file.parents[1]).as_posix()} says what it needs")
    return Imported(what=what, request=request, reasons=tuple(reasons))


def _program(code: Path) -> Path | None:
    """The file with SageMaker's functions: ``inference.py``, or the one that has some.

    Raises:
        UsageError: Several have.
    """
    if not code.is_dir():
        return None
    if (code / _PROGRAM).is_file():
        return code / _PROGRAM
    found = [path for path in sorted(code.glob("*.py")) if _functions_in(path)]
    if len(found) > 1:
        names = " and ".join(path.name for path in found[:3])
        raise UsageError(
            f"Both {names} in {code.name}/ have SageMaker's functions.",
            hint=f"Rename the one that serves to {_PROGRAM}.",
        )
    return found[0] if found else None


def _functions_in(path: Path) -> tuple[str, ...]:
    found = {match[1].decode() for match in _FUNCTION.finditer(_source(path))}
    return tuple(name for name in _FUNCTIONS if name in found)


def _told(program: Path | None, functions: tuple[str, ...]) -> str:
    if program is None:
        return "there is no code/inference.py: every function is the default"
    missing = [name for name in _FUNCTIONS[:-1] if name not in functions]
    if "transform_fn" in functions:
        missing = [name for name in missing if name == "model_fn"]
    own = ", ".join(functions) or "no function"
    default = f"; {', '.join(missing)} by default" if missing else ""
    return f"code/{program.name} has {own}{default}"


def _only_weights(source: Path) -> Path:
    """The model that the default ``model_fn`` loads.

    Raises:
        UsageError: There is none, or there are several.
    """
    if (source / _DEFAULT_WEIGHTS).is_file():
        return source / _DEFAULT_WEIGHTS
    found = sorted(path for path in source.iterdir() if path.suffix in _WEIGHTS and path.is_file())
    if len(found) != 1:
        there = "none" if not found else ", ".join(path.name for path in found[:5])
        raise UsageError(
            f"Without a model_fn the model must be {_DEFAULT_WEIGHTS} or the only .pt or .pth file "
            f"beside code/; there is {there}.",
            hint="Define model_fn in code/inference.py.",
        )
    return found[0]


def _source(path: Path) -> bytes:
    """A Python file, as far as it is looked at; empty where there is none."""
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.read(_MOST_SOURCE)
