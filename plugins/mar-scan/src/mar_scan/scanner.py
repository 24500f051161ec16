"""Runs picklescan on files, in a process that may use only so much memory and time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mar_scan.copies import File

__all__ = ["Scanned", "scan"]

MEMORY = 2 << 30
OPCODES = 2_000_000
SECONDS = 60.0
_ERROR = re.compile(r"[\w.]+(?:Error|Exception)\b")
_LATE = "the time for this archive was over"


@dataclass(frozen=True, slots=True)
class Scanned:
    """What the scanner says of one file.

    Attributes:
        file: The file.
        dangerous: Names that it lists as dangerous.
        unknown: Names that are on no list of its.
        fault: Why it could not read the file to its end, or empty.
        failure: Why it said nothing, or empty.
    """

    file: File
    dangerous: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    fault: str = ""
    failure: str = ""


def scan(folder: Path, files: Sequence[File]) -> Iterator[Scanned]:
    """Scan files; one that the scanner fails on costs the others nothing.

    Args:
        folder: Where they are.
        files: The files.
    """
    left, end = list(files), time.monotonic() + SECONDS
    while left and time.monotonic() < end:
        answers, failure = _run(folder, left, seconds=end - time.monotonic())
        for file, answer in zip(left, answers, strict=False):
            yield _scanned(file, answer)
        left = left[len(answers) :]
        if left:
            yield Scanned(file=left.pop(0), failure=failure)
    yield from (Scanned(file=file, failure=_LATE) for file in left)


def _run(
    folder: Path, files: Sequence[File], *, seconds: float
) -> tuple[list[dict[str, list[str]]], str]:
    """One answer for each file that was scanned, and why the process ended."""
    command = [sys.executable, "-P", "-m", "mar_scan.child", str(MEMORY), str(OPCODES)]
    try:
        # In the folder of the copies, so that nothing of the user's folder is imported.
        child = subprocess.run(
            command,
            input=json.dumps([[file.copy, file.suffix] for file in files]),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        lines = said.decode() if isinstance(said, bytes) else said
        return _answers(lines), _LATE
    return _answers(child.stdout), _last_words(child)


def _last_words(child: subprocess.CompletedProcess[str]) -> str:
    """Why the process ended before it had answered for every file."""
    last = (child.stderr.strip().splitlines() or [""])[-1]
    said = f": {last.rstrip('.')}" if _ERROR.match(last) else ""
    return f"its process ended with {child.returncode}{said}"


def _answers(lines: str) -> list[dict[str, list[str]]]:
    """The whole lines; the last one may be cut."""
    whole = lines[: lines.rfind("\n") + 1].splitlines()
    return [json.loads(line) for line in whole]


def _scanned(file: File, answer: dict[str, list[str]]) -> Scanned:
    failure, fault = " ".join(answer["failure"][:1]), " ".join(answer["faults"][:1])
    if file.is_pickle:
        return Scanned(file, answer["dangerous"], answer["unknown"], fault, failure)
    # Other files need not be readable as pickles; what cannot be opened is worth a word.
    unknown = [] if fault else answer["unknown"]
    return Scanned(file, answer["dangerous"], unknown, fault=failure)
