"""The manifest of a new archive, in torch-model-archiver's keys and order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.format.dates import created_on
from mar_core.format.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.build.handler import HandlerSpec

__all__ = ["describe"]

_ORDER = (
    "modelName",
    "serializedFile",
    "handler",
    "modelFile",
    "modelVersion",
    "requirementsFile",
    "configFile",
)


def describe(model: Mapping[str, str | None], handler: HandlerSpec, *, runtime: str) -> Manifest:
    """Describe an archive whose members have no digests yet.

    Args:
        model: The values of the keys of ``model``, but for the handler; empty ones are left out.
        handler: The handler; where a distribution ships it, that is recorded.
        runtime: The handler's runtime.
    """
    from mar_core import __version__

    values = {**model, "handler": handler.value}
    names = [*_ORDER, *(key for key in values if key not in _ORDER)]
    data: dict[str, Any] = {
        "createdOn": created_on(),
        "runtime": runtime,
        "model": {name: values[name] for name in names if values.get(name)},
        "archiverVersion": __version__,
    }
    if handler.distribution:
        owner = {"distribution": handler.distribution, "version": handler.version}
        data["mar"] = {"handler": owner}
    return Manifest(data)
