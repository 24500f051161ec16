"""Pickles walked opcode by opcode without running them.

The walk follows the stack machine with inert stand-ins (``mar_core.weights.symbols``), so that it
knows every name that would be imported, every call, and every storage with its size. What
``torch.load(weights_only=True)`` would take is decided against torch's own list of names; a list of
harmful names is always incomplete, this one is complete by construction.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mar_core.weights.allowed import ALLOWED
from mar_core.weights.machine import Machine, PickleError
from mar_core.weights.opcodes import follow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mar_core.weights.symbols import Storage

__all__ = ["MAX_OPCODES", "MAX_PICKLE", "PickleReport", "walk_pickle"]

MAX_PICKLE = 64 << 20
MAX_OPCODES = 2_000_000


@dataclass(slots=True)
class PickleReport:
    """What a pickle would do.

    Attributes:
        value: What it would make, of stand-ins.
        forbidden: Names and calls that are not on the list, in the order of the pickle.
        unsupported: Opcodes that a ``weights_only`` load does not know.
        storages: The tensors' bytes that it asks for, by key.
        fault: Why it could not be read to its end, or None.
        unchecked: Whether it is too long to be walked to its end.
        end: Where it ends in the bytes.
    """

    value: Any = None
    forbidden: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    storages: dict[str, Storage] = field(default_factory=dict)
    fault: str | None = None
    unchecked: bool = False
    end: int = 0

    @property
    def loads_safely(self) -> bool:
        """Whether ``torch.load(weights_only=True)`` would take it, as far as a walk can tell."""
        return not (self.forbidden or self.unsupported or self.fault or self.unchecked)


def walk_pickle(
    data: bytes,
    *,
    start: int = 0,
    allowed: Collection[str] = ALLOWED,
    also: Callable[[str], bool] = lambda _: False,
) -> PickleReport:
    """Walk one pickle.

    Args:
        data: Bytes that hold it; the walk stops behind its last opcode.
        start: Where it begins.
        allowed: The names that it may import.
        also: Says of any other name whether it may be imported.

    Returns:
        The report. A pickle that cannot be read is a report with a ``fault``: what stood before
        the fault would have run.
    """
    import pickletools

    stream = io.BytesIO(data)
    stream.seek(start)
    machine = Machine(allowed=allowed, also=also)
    report = PickleReport(
        forbidden=machine.forbidden, unsupported=machine.unsupported, storages=machine.storages
    )
    try:
        for opcode, argument, _ in itertools.islice(pickletools.genops(stream), MAX_OPCODES):
            follow(machine, opcode.name, argument)
        report.value = machine.result
        report.unchecked = not machine.stopped
    except PickleError as error:
        report.fault = str(error)
    except Exception as error:  # noqa: BLE001 - pickletools raises whatever its parsers raise
        report.fault = f"it is no pickle ({type(error).__name__})"
    report.end = stream.tell()
    return report
