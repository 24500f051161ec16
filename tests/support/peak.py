"""How much memory a process has had; imported by children that measure themselves."""

from __future__ import annotations

import resource
from pathlib import Path


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts the parent's too, from before exec
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
