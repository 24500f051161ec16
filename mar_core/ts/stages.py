"""Which handlers may be driven stage by stage, and whose stages may overlap."""

from __future__ import annotations

import inspect
from typing import Any

from mar_core.ts.base import BaseHandler

__all__ = ["STAGES", "is_staged", "stages_independent"]

STAGES = ("preprocess", "inference", "postprocess")


def is_staged(handler: Any) -> bool:
    """Whether a handler's ``handle`` is ``BaseHandler``'s own, stage after stage."""
    if not isinstance(handler, BaseHandler):
        return False
    own = "handle" in vars(handler) or type(handler).handle is not BaseHandler.handle
    return not own and not any(
        inspect.iscoroutinefunction(getattr(handler, stage)) for stage in STAGES
    )


def stages_independent(cls: type) -> bool:
    """Whether a class says that its stages share nothing but what ``initialize`` has set.

    ``stages_independent = True`` speaks for the stages that the class has when it says so: one that
    a subclass overrides is not spoken for until the subclass says it again.

    Args:
        cls: The handler's class.
    """
    for base in cls.__mro__:
        if "stages_independent" in vars(base):
            return bool(vars(base)["stages_independent"])
        if any(stage in vars(base) for stage in STAGES):
            return False
    return False
