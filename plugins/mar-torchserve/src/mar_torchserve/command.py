"""The command ``torchserve``: starts, stops and names the server."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core import MarError
from mar_torchserve.pidfile import PidFile

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "parser"]

VERSION = "0.12.0"
SERVER = "mar_torchserve.server"
KEY_FILE = "key_file.json"
STOP_SECONDS = 60.0


def parser() -> argparse.ArgumentParser:
    """TorchServe's options, under all of their names."""
    made = argparse.ArgumentParser(
        prog="torchserve",
        description="Serve model archives with TorchServe's options. `mar serve` has more.",
    )
    what = made.add_mutually_exclusive_group()
    what.add_argument("-v", "--version", action="store_true", help="say the version")
    what.add_argument("--start", action="store_true", help="start the server")
    what.add_argument("--stop", action="store_true", help="stop the server")
    add = made.add_argument
    add("--ts-config", metavar="FILE", help="a config.properties")
    add("--model-store", metavar="DIR", help="the folder that archives come from")
    add("--workflow-store", metavar="DIR", help="the folder that workflows come from")
    add(
        "--models", nargs="+", metavar="[NAME=]ARCHIVE", help="what to serve from the start, or all"
    )
    add(
        "--log-config",
        metavar="FILE",
        help="a Log4j configuration; only its being there is checked",
    )
    add("--cpp-log-config", metavar="FILE", help="likewise, for the C++ backend")
    add("--foreground", action="store_true", help="stay, and log to this terminal")
    add(
        "--no-config-snapshots", "--ncs", action="store_true", help="write and take up no snapshots"
    )
    add("--plugins-path", "--ppath", metavar="DIR", help="Java plugins, which are left out")
    add("--disable-token-auth", "--dt", action="store_true", help="ask for no tokens")
    add("--enable-model-api", action="store_true", help="let models be registered and removed")
    return made


def main(words: Sequence[str] | None = None) -> None:
    """Do what the command line says, and end the process with TorchServe's exit code.

    Args:
        words: The arguments; None takes those of this process.
    """
    given = list(sys.argv[1:] if words is None else words)
    asked = parser().parse_args(given)
    pid_file = PidFile(Path(tempfile.gettempdir()), module=SERVER)
    if asked.version:
        print(f"TorchServe Version is {VERSION}")
    elif asked.stop:
        _stop(pid_file, wait=asked.foreground)
    else:
        sys.exit(_start(asked, given, pid_file))


def _start(asked: argparse.Namespace, given: list[str], pid_file: PidFile) -> int:
    if pid_file.running() is not None:
        print("TorchServe is already running, please use torchserve --stop to stop TorchServe.")
        return 1
    from mar_torchserve.settings import read_settings

    try:
        # All that can be wrong with the configuration is said here, where somebody reads it.
        for warning in read_settings(asked, os.environ, Path.cwd()).warnings:
            print(f"Warning: {warning}")
    except MarError as error:
        print(error)
        return 1
    command = [sys.executable, "-P", "-m", SERVER, *given]
    if asked.foreground:
        pid_file.write(os.getpid())
        sys.stdout.flush()
        # In place of this process: what stops the command, stops the server.
        os.execv(sys.executable, command)  # noqa: S606 - no shell is what is wanted
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    pid_file.write(process.pid)
    return 0


def _stop(pid_file: PidFile, *, wait: bool) -> None:
    pid = pid_file.running()
    if pid is None:
        print("TorchServe is not currently running.")
        return
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        print("TorchServe already stopped.")
    else:
        Path(KEY_FILE).unlink(missing_ok=True)
        if not wait:
            print("TorchServe has stopped.")
        elif not _ended(pid_file, STOP_SECONDS):
            print("Stopping TorchServe took too long.")
    pid_file.remove()


def _ended(pid_file: PidFile, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if pid_file.running() is None:
            return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    main()
