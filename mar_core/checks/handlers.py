"""Where the handler is that a run would use, found without importing anything."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.build.installed import find_module
from mar_core.errors import PluginError
from mar_core.plugins import find_handler

if TYPE_CHECKING:
    from collections.abc import Container

    from mar_core.format.manifest import Manifest

__all__ = ["TORCHSERVE_ONLY", "HandlerPlace", "place_handler", "split_handler"]

# Names that TorchServe knows and mar does not ship.
TORCHSERVE_ONLY = frozenset(
    {"dali_handler", "dali_image_classifier", "trt_llm_handler", "vllm_handler"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerPlace:
    """Where a handler is.

    Attributes:
        name: The handler as the manifest names it.
        entry: What is named behind the colon, or None.
        member: The member of the archive that holds it, or None.
        module: The module that holds it.
        distribution: The distribution that ships it, or None.
        version: That distribution's version, or None.
        target: ``module:Class`` of a registered handler, or None.
    """

    name: str
    entry: str | None
    member: str | None
    module: str
    distribution: str | None = None
    version: str | None = None
    target: str | None = None


def split_handler(name: str) -> tuple[str, str | None]:
    """The file or module that a handler's name begins with, and the entry behind the colon."""
    head, _, entry = name.partition(":")
    return head, entry or None


def place_handler(manifest: Manifest, members: Container[str]) -> HandlerPlace | None:
    """Find the handler that a manifest names.

    A file of the archive comes before a registered handler of the same name, as in TorchServe.

    Args:
        manifest: The manifest.
        members: The names of the archive's members.

    Returns:
        Its place, or None where there is none.
    """
    name = manifest.handler
    if name is None:
        return None
    head, entry = split_handler(name)
    path = head.removesuffix(".py").strip("/").split("/")
    for module in (path[-1], ".".join(path)):
        stem = module.replace(".", "/")
        for member in (f"{stem}.py", f"{stem}/__init__.py"):
            if member in members:
                return HandlerPlace(name=name, entry=entry, member=member, module=module)
    if head.endswith(".py"):
        return None
    return _registered(name, entry) or _installed(name, path[-1], entry)


def _registered(name: str, entry: str | None) -> HandlerPlace | None:
    try:
        found = None if entry else find_handler(name)
    except PluginError:  # offered twice: a matter of this machine, which a run reports
        return None
    if found is None:
        return None
    return HandlerPlace(
        name=name,
        entry=None,
        member=None,
        module=found.module,
        distribution=found.distribution,
        version=found.version,
        target=found.target,
    )


def _installed(name: str, module: str, entry: str | None) -> HandlerPlace | None:
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts) or parts[0] in sys.stdlib_module_names:
        return None
    owner = find_module(module)
    if owner is None:
        return None
    return HandlerPlace(
        name=name,
        entry=entry,
        member=None,
        module=module,
        distribution=owner.distribution,
        version=owner.version,
    )
