"""What goes between a run and its worker processes.

To a worker goes what the user gave: it is trusted, and pickled. From a worker, where the archive's
code has run, come plain values alone: what is read there makes no object but ours and NumPy's.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.run.types import Failure, Outcome
from mar_core.run.values import to_json

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["WIRED", "Done", "Ready", "Refused", "portable", "receive", "send"]

# The modules whose classes may arrive.
WIRED = ("mar_core.errors", "mar_core.findings", "mar_core.run.types", "mar_core.run.wire")
_PLAIN = {
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("collections", "Counter"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A worker has loaded the archive.

    Attributes:
        batch_size: The archive's batch size.
    """

    batch_size: int


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
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        found = super().find_class(module, name) if module in WIRED and "." not in name else None
        if getattr(found, "__module__", None) != module:
            raise pickle.UnpicklingError(f"a worker sent a {module}.{name}")
        return found


def portable(outcome: Outcome) -> Outcome:
    """The outcome with a result that can be sent: JSON values, bytes, arrays.

    One that cannot becomes a failure of the stage ``result``.
    """
    if outcome.failure is not None:
        return outcome
    try:
        return dataclasses.replace(
            outcome,
            result=to_json(outcome.result, save=_keep),
            streamed=tuple(to_json(chunk, save=_keep) for chunk in outcome.streamed),
        )
    except HandlerError as error:
        failure = Failure(stage="result", type=type(error).__name__, message=str(error))
        return dataclasses.replace(outcome, result=None, failure=failure, streamed=())


def _keep(value: Any, where: str) -> Any:  # noqa: ARG001 - the signature of a Save
    """Bytes as they are, tensors as arrays, pictures as PNG."""
    if isinstance(value, (bytes, bytearray)):
        return value
    if isinstance(value, memoryview):
        return bytes(value)
    if hasattr(value, "numpy"):
        tensor = value.detach().cpu()
        # NumPy has no bfloat16.
        return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    if hasattr(value, "__array__") and hasattr(value, "dtype"):
        return value
    buffer = io.BytesIO()
    value.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
