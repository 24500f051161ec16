"""What goes between a run and its worker processes.

To a worker goes what the user gave: it is trusted, and pickled. From a worker, where the archive's
code has run, come plain values alone: what is read there makes no objects but ours.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from mar_core.records import Outcome
    from mar_core.runtime import Recipe

__all__ = ["WIRED", "Done", "Ready", "Refused", "Setup", "receive", "send"]

# The modules whose classes may arrive.
WIRED = ("mar_core.errors", "mar_core.findings", "mar_core.records", "mar_core.runtime.wire")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker is told first.

    Attributes:
        recipe: How to load the archive.
        explain: Ask for explanations in place of predictions.
        output_dir: Where bytes, tensors and pictures go; None sends them back in the rows.
    """

    recipe: Recipe
    explain: bool = False
    output_dir: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A worker has loaded the archive.

    Attributes:
        batch_size: The archive's batch size.
        by_length: Whether inputs of one length belong together.
    """

    batch_size: int
    by_length: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A worker could not load the archive.

    Attributes:
        error: Why.
    """

    error: Exception


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A worker has run a batch.

    Attributes:
        outcomes: What became of each input.
        seconds: Wall-clock seconds by stage.
        out_of_memory: The smallest batch that did not fit, or None.
    """

    outcomes: list[Outcome]
    seconds: dict[str, float]
    out_of_memory: int | None


Message = Ready | Refused | Done


def send(connection: Connection, message: Message) -> None:
    """Send a message from a worker."""
    connection.send_bytes(pickle.dumps(message, protocol=5))


def receive(connection: Connection) -> Message:
    """Read a worker's message.

    Raises:
        EOFError: The worker is gone.
        pickle.UnpicklingError: It sent something that no worker of ours sends.
    """
    message = _PlainUnpickler(io.BytesIO(connection.recv_bytes())).load()
    if not isinstance(message, (Ready, Refused, Done)):
        raise pickle.UnpicklingError(f"a worker sent a {type(message).__name__}")
    return message


class _PlainUnpickler(pickle.Unpickler):
    """Makes plain values only."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module in WIRED and "." not in name else None
        if getattr(found, "__module__", None) != module:
            raise pickle.UnpicklingError(f"a worker sent a {module}.{name}")
        return found
