"""The engine ``ray``: an archive on Ray Data, on this machine or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core import Engine

__all__ = ["mar_register_engines"]


@hookimpl
def mar_register_engines(register: Callable[..., None]) -> None:
    """Offer the engine ``ray``; Ray itself is imported when it is chosen."""
    from mar_core import EngineOption

    where = "HOST:PORT of a cluster, or `auto` for the one that this machine belongs to."
    register("ray", _make, EngineOption(name="--address", help=where))


def _make() -> Engine:
    from mar_ray.engine import RayEngine

    return RayEngine()
