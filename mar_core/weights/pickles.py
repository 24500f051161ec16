"""Walks over pickles: what one would import, call and make, told without running it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from mar_core.weights.machine import FaultError, Machine, PickleReport
from mar_core.weights.opcodes import ACTIONS
from mar_core.weights.rebuild import RefusedError
from mar_core.weights.streams import Allowance, TooCostlyError

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["PickleReport", "walk_pickle"]

_STEP = 256  # what following one opcode costs, in bytes read


def walk_pickle(
    source: bytes | BinaryIO,
    *,
    start: int = 0,
    budget: Allowance | None = None,
    plain: bool = False,
    also: Callable[[str], bool] = lambda _: False,
    storage_fields: int = 5,
) -> PickleReport:
    """Walk one pickle.

    Args:
        source: Bytes that hold it, or a seekable stream; the walk stops behind its last opcode.
        start: Where it begins.
        budget: What the walk may cost.
        plain: Whether it may also hold what Python's own containers, dates and NumPy's arrays are
            made of, which torch does not take.
        also: Says of any other name whether it may be imported.
        storage_fields: The parts of a reference to a storage: 5 in a zip, 6 in the legacy format.

    Returns:
        The report. A pickle that cannot be read is a report with a ``fault``: what stood before
        the fault would have run.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    machine = Machine(
        stream, budget or Allowance(), plain=plain, also=also, storage_fields=storage_fields
    )
    report = machine.report
    stream.seek(start)
    try:
        _run(machine)
    except FaultError as error:
        report.fault = str(error)
    except TooCostlyError:
        report.unchecked = True
    report.end = stream.tell()
    return report


def _run(machine: Machine) -> None:
    read, spend = machine.stream.read, machine.budget.spend
    while not machine.stopped:
        byte = read(1)
        if not byte:
            raise FaultError("it is cut off")
        entry = ACTIONS.get(byte)
        if entry is None:
            raise FaultError(f"it has an unknown opcode, {byte!r}")
        spend(_STEP)
        name, action, in_torch = entry
        if not in_torch:
            machine.refuse(f"the opcode {name}")
        try:
            action(machine)
        except RefusedError as refused:  # a key: nothing is set, and the walk goes on
            machine.refuse(str(refused))
        except (IndexError, KeyError, TypeError, ValueError) as error:
            text = f"its opcode {name} finds nothing that it could work on"
            raise FaultError(text) from error
