"""Unpacked archives made by hand, and the handlers and contexts of tests that need no predictor."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from mar_core import Manifest
from mar_core.ts.context import make_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import BaseHandler, Context

NETWORKS = Path(__file__).parent / "networks"


def unpack(
    folder: Path,
    files: Mapping[str, str | bytes],
    *,
    config: Mapping[str, Any] | None = None,
    **model: str,
) -> Context:
    """Write the members of an archive and return its context.

    Args:
        folder: Where to; it is made.
        files: Members by name.
        config: What model-config.yaml holds.
        **model: Further keys of the manifest's ``model``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    if config is not None:
        (folder / "model-config.yaml").write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
        model["configFile"] = "model-config.yaml"
    manifest = {"modelName": "m", "modelVersion": "1.0", "handler": "h", **model}
    return make_context(Manifest({"runtime": "python", "model": manifest}), folder)


def initialized(handler: BaseHandler, context: Context) -> Any:
    """The same handler, initialized."""
    handler.context = context
    handler.initialize(context)
    return handler


def network_source(name: str) -> str:
    """The source of a model file that tests share."""
    return (NETWORKS / f"{name}.py").read_text(encoding="utf-8")


def network(name: str) -> torch.nn.Module:
    """The network that the model file defines, at random weights, in evaluation mode."""
    module = importlib.import_module(f"networks.{name}")
    (cls,) = [
        value
        for value in vars(module).values()
        if getattr(value, "__module__", "") == module.__name__
    ]
    torch.manual_seed(0)
    model: torch.nn.Module = cls().eval()
    return model
