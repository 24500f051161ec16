"""What ``--handler`` means: a name, a file, ``file:entry`` or ``package.module:Class``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from mar_core import plugins
from mar_core.build.request import Runtime
from mar_core.errors import UsageError
from mar_core.handlers.lookup import look_up
from mar_core.handlers.source import Module, parse_module

__all__ = ["TORCHSERVE_NAMES", "HandlerSpec", "installed_handler", "resolve_handler"]

# The names that torch-model-archiver never takes for files, whatever lies in the folder.
TORCHSERVE_NAMES = frozenset(
    {
        "base_handler",
        "dali_image_classifier",
        "image_classifier",
        "image_segmenter",
        "object_detector",
        "text_classifier",
        "trt_llm_handler",
        "vllm_handler",
    }
)
LSP_NAMES = frozenset({"BaseHandler", "TorchScriptHandler"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerSpec:
    """A handler that has been found.

    Attributes:
        value: ``model.handler`` of the manifest.
        source: The file to put into the archive, or None for a handler that is installed.
        distribution: The distribution that ships it, or None.
        version: That distribution's version, or None.
    """

    value: str
    source: Path | None = None
    distribution: str | None = None
    version: str | None = None


def resolve_handler(text: str, *, runtime: Runtime = Runtime.PYTHON) -> HandlerSpec:
    """Find the handler that ``--handler`` names, without importing anything.

    Args:
        text: What the user gave.
        runtime: ``LSP`` handlers are shared libraries.

    Raises:
        UsageError: There is no such file, name or installed module.
        PluginError: Two distributions offer the name.
    """
    if not text:
        raise UsageError("--handler is empty.", hint="Give a name, a file or package.module:Class.")
    if runtime is Runtime.LSP:
        return _resolve_library(text)
    if text in TORCHSERVE_NAMES:
        return _registered(text) or HandlerSpec(value=text)
    file, entry = _split(text)
    source = _python_file(file)
    if source is not None:
        name = Path(file).name
        alone = not entry or _is_only_class(source, entry)
        return HandlerSpec(value=name if alone else f"{name}:{entry}", source=source)
    return installed_handler(text) or _refuse(text, file)


def installed_handler(text: str) -> HandlerSpec | None:
    """The registered or installed handler of that name, or None.

    Raises:
        PluginError: Two distributions offer the name.
    """
    found = look_up(text)
    # One plain word is a name that somebody registers, or nothing; a path is a file, or nothing.
    plain = "/" in text or not set(text) & set(".:")
    if found is None or (found.registered is None and plain):
        return None
    return HandlerSpec(value=text, distribution=found.distribution, version=found.version)


def _split(text: str) -> tuple[str, str]:
    """The file or module, and the entry behind the colon."""
    drive = text[:2] if sys.platform == "win32" and text[1:2] == ":" else ""
    file, _, entry = text[len(drive) :].partition(":")
    return drive + file, entry


def _python_file(text: str) -> Path | None:
    for candidate in (Path(text), Path(f"{text}.py")):
        if candidate.suffix == ".py" and candidate.is_file():
            return candidate
    return None


def _is_only_class(source: Path, name: str) -> bool:
    """Whether TorchServe, given the file alone, would take the class of that name for the handler.

    It would if that is the only class there and nothing is called ``handle``. Given the class too,
    TorchServe would call it like a function.
    """
    try:
        module = parse_module(source.read_bytes())
    except OSError:
        return False  # whoever checks the handler says what is wrong with it
    if not isinstance(module, Module):
        return False
    return list(module.classes) == [name] and "handle" not in module.names


def _registered(name: str) -> HandlerSpec | None:
    entry = plugins.find_handler(name)
    if entry is None:
        return None
    return HandlerSpec(value=name, distribution=entry.distribution, version=entry.version)


def _resolve_library(text: str) -> HandlerSpec:
    if text in LSP_NAMES:
        return HandlerSpec(value=text)
    file, _ = _split(text)
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    for candidate in (Path(file), Path(f"{file}{suffix}")):
        if candidate.suffix == suffix and candidate.is_file():
            return HandlerSpec(value=Path(text).name, source=candidate)
    raise UsageError(
        f"There is no handler library {file}{suffix!s}.",
        hint="With --runtime LSP, --handler is libname:Class, BaseHandler or TorchScriptHandler.",
    )


def _refuse(text: str, file: str) -> HandlerSpec:
    if Path(file).is_dir():
        raise UsageError(
            f"The handler {file} is a folder.", hint="Give the Python file that holds the handler."
        )
    if file.endswith(".py") or "/" in file:
        wanted = file if file.endswith(".py") else f"{file}.py"
        raise UsageError(
            f"There is no handler file {wanted}.", hint="Check --handler and the current folder."
        )
    near = plugins.nearest_handlers(text)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`mar plugins` lists the names."
    raise UsageError(
        f"There is no handler {text!r}: no registered name, no file {file}.py and no installed "
        "module is called that.",
        hint=hint,
    )
