"""``ts.handler_utils.utils``: answers in parts, and classes by name."""

from __future__ import annotations

import importlib
from typing import Any

from mar_core.ts.otf_message_handler import send_intermediate_predict_response

__all__ = ["import_class", "send_intermediate_predict_response"]


def import_class(class_name: str, module_prefix: str | None = None) -> Any:
    """A class by its dotted name.

    Args:
        class_name: ``module.Class``, or ``Class`` where the prefix is its module.
        module_prefix: What to put before the module's name.

    Raises:
        ImportError: There is no such module, or no such class in it.
    """
    module_name, _, name = (class_name or "").rpartition(".")
    path = ".".join(part for part in (module_prefix, module_name) if part)
    if not name or not path:
        raise ImportError(f"{class_name!r} must be a module and a class, as in `package.Class`.")
    module = importlib.import_module(path)
    if not hasattr(module, name):
        raise ImportError(f"The module {path} has no class {name!r}.")
    return getattr(module, name)
