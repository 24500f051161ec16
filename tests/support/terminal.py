"""Running ``mar`` as people do: with a terminal of its own."""

from __future__ import annotations

import errno
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from fcntl import ioctl
from typing import TYPE_CHECKING

from packs import COMMAND

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

__all__ = ["Terminal"]

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A terminal in which ``mar`` runs. Use it as a context manager.

    Args:
        words: The arguments of ``mar``.
        cwd: The current folder.
        columns: How wide the terminal is.
        redirect: Where standard output goes in place of the terminal.

    Attributes:
        code: The exit code, once it has ended.
    """

    def __init__(
        self, *words: str | Path, cwd: Path, columns: int = 80, redirect: Path | None = None
    ) -> None:
        self._pid, self._screen = pty.fork()
        if not self._pid:
            self._become([*COMMAND, *map(str, words)], cwd, redirect)
        ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._seen = b""
        self.code: int | None = None

    def until(self, text: str, *, seconds: float = 60) -> str:
        """What it has shown when it shows this text for the first time since the last call."""
        end = time.monotonic() + seconds
        while text not in (shown := self._text()):
            assert time.monotonic() < end, shown
            assert self._read(), f"it ended:\n{shown}"
        self._seen = b""
        return shown

    def end(self) -> str:
        """Everything that it has shown when it ends."""
        while self._read():
            pass
        self._wait()
        return self._text()

    def shows_more(self) -> bool:
        """Whether it has shown something since ``until``."""
        return bool(select.select([self._screen], [], [], 0)[0])

    def type(self, text: str) -> None:
        """Press keys; ``\\x03`` is Ctrl-C."""
        os.write(self._screen, text.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.code is None:
            os.kill(self._pid, signal.SIGKILL)
            self._wait()
        os.close(self._screen)

    def _become(self, command: list[str], cwd: Path, redirect: Path | None) -> None:
        try:
            os.chdir(cwd)
            if redirect is not None:
                os.dup2(os.open(redirect, os.O_WRONLY | os.O_CREAT), 1)
            os.environ.update(TERM="xterm-256color")
            os.environ.pop("COLUMNS", None)
            os.execv(command[0], command)  # noqa: S606 - the arguments are a list
        finally:
            os._exit(1)

    def _read(self) -> bytes:
        try:
            chunk = os.read(self._screen, 1 << 16)
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has the terminal open any longer
                raise
            return b""
        self._seen += chunk
        return chunk

    def _wait(self) -> None:
        self.code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _text(self) -> str:
        """What was shown, without colours, line ends as in a file."""
        return _ESCAPES.sub("", self._seen.decode(errors="replace")).replace("\r\n", "\n")
