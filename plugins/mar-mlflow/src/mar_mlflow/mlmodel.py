"""``MLmodel``, read without mlflow: the flavours, and what the model takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mar_core import UsageError

__all__ = ["FILE", "MOST_BYTES", "Column", "MLmodel", "parse_mlmodel", "read_mlmodel"]

FILE = "MLmodel"
MOST_BYTES = 1 << 20


class _Loader(yaml.SafeLoader):
    """Plain YAML without merge keys, which could make a small file a very large value."""

    def flatten_mapping(self, node: Any) -> None:
        """Merge nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One input or output of the signature.

    Attributes:
        name: Its name, or None.
        dtype: NumPy's name of a tensor's type; None for a column of a table.
        shape: A tensor's shape, -1 for any length; None where it is not told.
        kind: MLflow's name of a column's type; None for a tensor.
    """

    name: str | None
    dtype: str | None
    shape: tuple[int, ...] | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MLmodel:
    """What the file says.

    Attributes:
        flavors: Each flavour's settings by its name.
        inputs: The inputs of the signature; empty where there is none.
        outputs: Its outputs; likewise.
    """

    flavors: dict[str, dict[str, Any]]
    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()

    def path(self, flavor: str, key: str) -> str | None:
        """The name of a file or folder that a flavour names, inside the model's folder.

        Raises:
            UsageError: It leads out of it.
        """
        name = self.flavors[flavor].get(key)
        if not isinstance(name, str) or not name:
            return None
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise UsageError(f"{FILE} names {name[:200]!r}, which is outside of the model.")
        return name


def read_mlmodel(folder: Path) -> MLmodel | None:
    """Read the ``MLmodel`` of a folder; None where there is none.

    Raises:
        UsageError: It is not what MLflow writes.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return parse_mlmodel(stream.read(MOST_BYTES + 1), path)


def parse_mlmodel(raw: bytes, path: Path | str = FILE) -> MLmodel:
    """Read what an ``MLmodel`` holds.

    Args:
        raw: Its bytes; more than ``MOST_BYTES`` are refused.
        path: What to call it in a sentence.

    Raises:
        UsageError: It is not what MLflow writes.
    """
    if len(raw) > MOST_BYTES:
        raise UsageError(f"{path} has more than {MOST_BYTES:,} bytes.")
    try:
        content = _Loader(raw).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} is not plain YAML: {reason}.") from error
    except (LookupError, TypeError, AttributeError) as error:  # `!!int ""`, `!!timestamp x`
        raise UsageError(f"{path} is not plain YAML: a value does not fit its tag.") from error
    flavors = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavors, dict):
        raise UsageError(f"{path} names no flavors, as MLflow does.")
    known = {str(name): value for name, value in flavors.items() if isinstance(value, dict)}
    told = content.get("signature")
    return MLmodel(
        flavors=known, inputs=_columns(told, "inputs"), outputs=_columns(told, "outputs")
    )


def _columns(signature: Any, key: str) -> tuple[Column, ...]:
    text = signature.get(key) if isinstance(signature, dict) else None
    try:
        told = json.loads(text) if isinstance(text, str) else []
    except (ValueError, RecursionError):
        return ()
    if not isinstance(told, list):
        return ()
    return tuple(_column(one) for one in told if isinstance(one, dict))


def _column(told: dict[str, Any]) -> Column:
    tensor = told.get("tensor-spec")
    tensor = tensor if isinstance(tensor, dict) else {}
    name, kind = told.get("name"), told.get("type")
    dtype, shape = tensor.get("dtype"), tensor.get("shape")
    lengths: list[Any] = shape if isinstance(shape, list) else [None]
    return Column(
        name=name if isinstance(name, str) else None,
        dtype=dtype if isinstance(dtype, str) else None,
        shape=tuple(lengths) if all(type(one) is int for one in lengths) else None,
        kind=kind if isinstance(kind, str) and not tensor else None,
    )
