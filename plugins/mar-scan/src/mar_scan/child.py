"""Scans files for ``mar_scan.scanner``: takes their names as JSON, answers with a line for each."""

from __future__ import annotations

import json
import logging
import pickletools
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["answer"]

_LONGEST = 200


class _Faults(logging.Handler):
    """Collects what picklescan only logs: what is no pickle, and what it could not open."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.faults: list[str] = []
        self.unopened: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        reason = text.rpartition(": ")[2][:_LONGEST].rstrip(".")
        if text.startswith("Invalid file"):
            self.unopened.append(reason)
        elif not text.endswith("FOUND") and "magic number" not in text:
            self.faults.append(reason)


class _TooManyError(BaseException):
    """The files' opcodes are used up; picklescan takes every Exception for the end of a pickle."""


class _Counter:
    """Gives opcodes until there have been too many for one file."""

    def __init__(self, most: int) -> None:
        self.most = self.left = most
        self._genops = pickletools.genops

    def genops(self, pickle: Any) -> Iterator[Any]:
        for opcode in self._genops(pickle):
            self.left -= 1
            if self.left < 0:
                raise _TooManyError(f"there are more than {self.most:,} opcodes")
            yield opcode


def answer(path: str, suffix: str) -> dict[str, list[str]]:
    """What picklescan says of one file.

    Args:
        path: The file.
        suffix: The ending that it is to be taken by.

    Returns:
        ``dangerous`` and ``unknown`` names, ``faults`` in reading it, and the ``failure`` of the
        scanner; each a list.
    """
    faults = _Faults()
    logger = logging.getLogger("picklescan")
    logger.addHandler(faults)
    logger.propagate = False
    found: list[Any] = []
    failure = []
    try:
        found.extend(_scan(path, suffix))
    except _TooManyError as error:
        failure.append(str(error))
    except Exception as error:  # noqa: BLE001 - whatever a scanner raises on a hostile file
        failure.append(f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST])
    finally:
        logger.removeHandler(faults)
    return {
        "dangerous": _names(found, "dangerous"),
        "unknown": _names(found, "suspicious"),
        "faults": faults.faults,
        "failure": failure + faults.unopened,
    }


def _scan(path: str, suffix: str) -> list[Any]:
    from picklescan.scanner import scan_bytes, scan_pickle_bytes

    with Path(path).open("rb") as stream:
        found = list(scan_bytes(stream, path, suffix or None).globals)
        stream.seek(0)
        # A pickle with a zip behind it is a zip to picklescan and a pickle to Python.
        if stream.read(2) != b"PK" and zipfile.is_zipfile(stream):
            stream.seek(0)
            found.extend(scan_pickle_bytes(stream, path).globals)
    return found


def _names(found: list[Any], safety: str) -> list[str]:
    names = {f"{one.module}.{one.name}" for one in found if one.safety.value == safety}
    return sorted(name[:_LONGEST] for name in names)


def _bound(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the time is bounded everywhere
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _main(memory: str, opcodes: str) -> None:
    _bound(int(memory))
    counter = _Counter(int(opcodes))
    # picklescan keeps every opcode in memory; before it is imported, the source of them is bounded.
    pickletools.genops = counter.genops
    for path, suffix in json.load(sys.stdin):
        counter.left = int(opcodes)
        sys.stdout.write(json.dumps(answer(path, suffix)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
