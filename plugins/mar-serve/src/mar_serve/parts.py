"""What the parts of a server ask of it, and it of what others add: these types stand below all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from mar_serve.config import ServerConfig
    from mar_serve.settings import ModelSettings
    from mar_serve.telemetry import Telemetry
    from mar_serve.tracing import Tracer

__all__ = ["Added", "Configured", "Host"]


class Configured(Protocol):
    """A version, for who asks for its numbers."""

    @property
    def settings(self) -> ModelSettings:
        """Its numbers."""


class Host(Protocol):
    """The server, for a version and its workers."""

    config: ServerConfig
    telemetry: Telemetry
    tracer: Tracer | None
    cores: int
    gpus: int

    def next_worker(self) -> int:
        """A number for a worker."""

    def gpu_for(self, version: Configured, number: int) -> int | None:
        """Whose turn it is of the GPUs; None for no GPU."""


class Added(Protocol):
    """What `Extension` has, for the server."""

    def routes(self, kinds: Collection[str]) -> Iterable[Any]:
        """More paths for a listener."""

    def openapi(self) -> Mapping[str, Mapping[str, Any]]:
        """What is said of them."""

    async def started(self) -> None:
        """Every model that was there at the start answers."""

    async def changed(self) -> None:
        """The models have changed."""

    async def stopping(self, grace: float) -> None:
        """Nothing more is taken."""
