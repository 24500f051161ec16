"""Where a manifest's handler is: in the archive, registered by a distribution, or installed."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.plugins import find_handler, nearest_handlers
from mar_core.ts import compat

if TYPE_CHECKING:
    from mar_core.format.manifest import Manifest
    from mar_core.handlers.code import ArchiveCode
    from mar_core.handlers.own_process import OwnProcess
    from mar_core.plugins import EntryInfo

__all__ = ["Place", "locate", "not_found"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a handler is, found without importing it.

    Attributes:
        name: The handler as the manifest names it.
        module: The module's name.
        entry: What to take from it, or None to decide by what it defines.
        code: The archive's code where the module is the archive's, or None.
        registered: The registered handler, or None.
    """

    name: str
    module: str
    entry: str | None
    code: ArchiveCode | OwnProcess | None = None
    registered: EntryInfo | None = None

    def load(self) -> Any:
        """Import it.

        Returns:
            The module; for a registered handler what its entry point names, as a rule a class.
        """
        if self.registered is not None:
            return self.registered.load()
        if self.code is not None:
            return self.code.import_module(self.module)
        return importlib.import_module(self.module)


def locate(manifest: Manifest, code: ArchiveCode | OwnProcess) -> Place:
    """Find the handler that a manifest names.

    As in TorchServe, a file of the archive comes before a registered handler of the same name.

    Args:
        manifest: The manifest.
        code: The archive's code.

    Raises:
        HandlerError: There is no such handler; the sentence says what to do.
        PluginError: Two distributions register it.
    """
    name = manifest.handler
    if name is None:
        raise _failure("The manifest names no handler.", None, "Archive it again with --handler.")
    head, _, entry = name.partition(":")
    path = head.removesuffix(".py").strip("/").split("/")
    for module in (path[-1], ".".join(path)):
        if code.find_file(module) is not None:
            return Place(name=name, module=module, entry=entry or None, code=code)
    module = path[-1]
    registered = None if entry or head.endswith(".py") else find_handler(module)
    if registered is not None:
        return Place(name=name, module=module, entry=None, registered=registered)
    if not head.endswith(".py") and _is_installed(module):
        return Place(name=name, module=module, entry=entry or None)
    raise not_found(name, manifest)


def _is_installed(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.loader is not None


def not_found(name: str, manifest: Manifest) -> HandlerError:
    """The error for a handler that is nowhere: what is missing, and how to get it.

    Args:
        name: The handler as the manifest names it.
        manifest: The manifest, which may say which distribution ships it.
    """
    head = name.partition(":")[0]
    shipped = manifest.mar.get("handler")
    distribution = shipped.get("distribution") if isinstance(shipped, dict) else None
    if distribution:
        version = shipped.get("version") if isinstance(shipped, dict) else None
        return _failure(
            f"The handler {name!r} comes with {distribution}, which is not installed.",
            name,
            f"Install it: `pip install {distribution}{f'=={version}' if version else ''}`.",
        )
    if compat.is_absent(f"{compat.ROOT}.torch_handler.{head}"):
        return _failure(str(compat.missing(f"{compat.ROOT}.torch_handler.{head}")), name, None)
    if head.endswith(".py") or "/" in head:
        return _failure(
            f"The archive has no file {head!r}, which its manifest names as the handler.",
            name,
            "Archive it again with --handler.",
        )
    near = nearest_handlers(head)
    known = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return _failure(
        f"There is no handler {name!r}: no file {head}.py in the archive, no registered handler "
        "and no installed module of that name.",
        name,
        f"See the registered handlers with `mar plugins`.{known}",
    )


def _failure(message: str, name: str | None, hint: str | None) -> HandlerError:
    return HandlerError(message, stage="load", handler=name, hint=hint)
