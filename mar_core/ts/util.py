"""What handlers import from ``ts.utils.util``."""

from __future__ import annotations

import enum
import functools
import inspect
import json
import logging
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

__all__ = [
    "CLEANUP_REGEX", "LABELS", "PT2Backend", "PredictionException", "check_valid_pt2_backend",
    "deprecated", "get_yaml_config", "label_mapping", "list_classes_from_module",
    "load_label_mapping", "map_class_to_label",
]  # fmt: skip

logger = logging.getLogger(__name__)

# Where an archive has the names of its classes.
LABELS = "index_to_name.json"

# Tags and entities of HTML.
CLEANUP_REGEX = re.compile(r"<.*?>|&([a-z0-9]+|#[0-9]{1,6}|#x[0-9a-f]{1,6});")


class PredictionException(Exception):  # noqa: N818 - TorchServe's name
    """A handler refuses a batch and says why.

    Args:
        message: What the caller is told.
        error_code: The HTTP status that TorchServe would answer with.
    """

    def __init__(self, message: str, error_code: int = 500) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code

    def __str__(self) -> str:
        return f"{self.message} : {self.error_code}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.message, self.error_code))


class PT2Backend(str, enum.Enum):  # noqa: UP042 - as TorchServe has it
    """The backends of ``torch.compile`` that TorchServe knows."""

    EAGER = "eager"
    AOT_EAGER = "aot_eager"
    INDUCTOR = "inductor"
    NVFUSER = "nvfuser"
    AOT_NVFUSER = "aot_nvfuser"
    AOT_CUDAGRAPHS = "aot_cudagraphs"
    OFI = "ofi"
    FX2TRT = "fx2trt"
    ONNXRT = "onnxrt"
    IPEX = "ipex"
    TORCHXLA_TRACE_ONCE = "torchxla_trace_once"
    OPENVINO = "openvino"
    TENSORRT = "tensorrt"
    HPU_BACKEND = "hpu_backend"


def check_valid_pt2_backend(backend: str) -> bool:
    """Whether TorchServe knows this backend of ``torch.compile``; logs a warning where not."""
    known = backend in [member.value for member in PT2Backend]
    if not known:
        logger.warning("%s is not a backend of torch.compile that is known here.", backend)
    return known


def list_classes_from_module(module: ModuleType, parent_class: type | None = None) -> list[type]:
    """The classes that a module defines itself, by name.

    Args:
        module: The module.
        parent_class: Keeps only this class and its subclasses.
    """
    own = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__
    ]
    return [cls for cls in own if parent_class is None or issubclass(cls, parent_class)]


def load_label_mapping(mapping_file_path: str | os.PathLike[str]) -> dict[str, str] | None:
    """Read names of classes from a JSON file, as a rule ``index_to_name.json``.

    Args:
        mapping_file_path: The file. It holds ``{"0": "cat"}``, ``{"0": ["n02123045", "cat"]}``,
            whose last name counts, or ``{"object_type_names": ["cat"]}``.

    Returns:
        Names by class, or None where there is no file.

    Raises:
        ValueError: The file holds something else.
    """
    path = Path(mapping_file_path)
    return label_mapping(path.read_bytes() if path.is_file() else None, path.name)


def label_mapping(content: bytes | None, name: str) -> dict[str, str] | None:
    """The same from the file's content, which is None where there is no file."""
    if content is None:
        logger.info("There is no %s: results have the numbers of classes.", name)
        return None
    try:
        mapping = json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    if not isinstance(mapping, dict):
        raise ValueError(  # noqa: TRY004 - the file is wrong, not the argument
            f"{name} must hold a JSON object, class by class."
        )
    names = mapping.get("object_type_names")
    if isinstance(names, list):
        mapping = {str(index): name for index, name in enumerate(names)}
    return {key: _label(name, key, value) for key, value in mapping.items()}


def map_class_to_label(
    probs: list[Any],
    mapping: dict[str, str] | None = None,
    lbl_classes: Iterable[Sequence[int]] | None = None,
) -> list[dict[str, Any]]:
    """Put names to probabilities.

    Args:
        probs: For each row a list of probabilities.
        mapping: Names by class; without one the class is its own name.
        lbl_classes: For each row the classes that the probabilities belong to; by default 0, 1, ….

    Returns:
        For each row ``{name: probability}``.

    Raises:
        TypeError: An argument is not what it must be.
    """
    if not isinstance(probs, list):
        raise TypeError(f"probs must be a list of lists, not a {type(probs).__name__}.")
    if mapping is not None and not isinstance(mapping, dict):
        raise TypeError(f"mapping must be a dict, not a {type(mapping).__name__}.")
    if lbl_classes is None:
        lbl_classes = [range(len(row)) for row in probs]
    return [
        {
            (str(label) if mapping is None else mapping[str(label)]): probability
            for label, probability in zip(labels, row, strict=False)
        }
        for labels, row in zip(lbl_classes, probs, strict=False)
    ]


def get_yaml_config(yaml_file_path: str | os.PathLike[str]) -> Any:
    """A YAML file as parsed."""
    import yaml

    return yaml.safe_load(Path(yaml_file_path).read_text(encoding="utf-8"))


def deprecated(
    version: Any, replacement: str = "", klass: type[Warning] = PendingDeprecationWarning
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function as one that goes away.

    Args:
        version: The version in which it does.
        replacement: What to call in its place.
        klass: The category of the warning.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            text = f"{function.__name__} is deprecated in {version} and moved to {replacement}"
            warnings.warn(text, klass, stacklevel=2)
            return function(*args, **kwargs)

        return wrapper

    return decorate


def _label(file: str, key: str, value: Any) -> str:
    name = value[-1] if isinstance(value, list) and value else value
    if not isinstance(name, str):
        raise ValueError(  # noqa: TRY004 - the file is wrong, not the argument
            f"{file}: the name of class {key!r} must be text or a list of texts."
        )
    return name
