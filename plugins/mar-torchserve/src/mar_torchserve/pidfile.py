"""The file that names the running server, where TorchServe puts it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PidFile"]

NAME = ".model_server.pid"


class PidFile:
    """The process id of the one server that ``torchserve`` started.

    Args:
        folder: Where it is: the system's folder for temporary files.
        module: The module that a server runs; a process that runs another has taken the number of
            one that is gone.
    """

    def __init__(self, folder: Path, *, module: str) -> None:
        self._path = folder / NAME
        self._module = module

    def running(self) -> int | None:
        """The server's process id; None where none runs. A file that is left over is removed."""
        try:
            pid = int(self._path.read_text(encoding="ascii").split()[0])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, IndexError):
            self._remove_orphan()
            return None
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE and self._module in process.cmdline():
                return pid
        except psutil.Error:
            pass
        self._remove_orphan()
        return None

    def write(self, pid: int) -> None:
        """Say which process the server is."""
        # Renamed, so that whoever looks meanwhile finds a whole number.
        beside = self._path.with_name(f"{NAME}.{os.getpid()}")
        beside.write_text(str(pid), encoding="ascii")
        beside.replace(self._path)

    def remove(self) -> None:
        """Say that there is none."""
        self._path.unlink(missing_ok=True)

    def _remove_orphan(self) -> None:
        print("Removing orphan pid file.")
        self.remove()
