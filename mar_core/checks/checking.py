"""``mar validate`` as a function: read an archive to its end, hold it against every rule.

It is done in a process that the system bounds: what happens there stays there. The budget that
readers and rules keep cannot stop a call of a library that takes long or asks for all memory. The
system can: the child may take so much processor time and memory, and is killed when it takes more;
what it found comes back as data.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError, MarError
from mar_core.findings import Finding, Severity, ValidationError
from mar_core.format.budget import memory_allowed, seconds_allowed
from mar_core.format.codes import finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.plugins import Plugins

__all__ = ["Checked", "check_archive", "examine_in_child", "look_at"]

_MAX_ANSWER = 32 << 20
_PATIENCE = 10  # a busy machine may take so many times the processor time, and a start
_START = 30.0
_FRESH = "from mar_core.checks.checking import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found in an archive.

    Attributes:
        path: The archive, as it was named.
        findings: Everything that was found, in the order of the checks.
        failure: Why it could not be looked at, or None.
    """

    path: str
    findings: tuple[Finding, ...] = ()
    failure: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it could be looked at, and none of the findings is an error."""
        return self.failure is None and not self.count(Severity.ERROR)

    def count(self, severity: Severity) -> int:
        """How many findings there are of that severity."""
        return sum(1 for finding in self.findings if finding.severity is severity)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "archive": self.path,
            "sound": self.is_sound,
            "failure": self.failure,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def check_archive(
    path: str | os.PathLike[str], *, allow_pickle: bool = False, plugins: Plugins | None = None
) -> Checked:
    """Look at an archive from its first byte to its last.

    Nothing of it is imported, unpickled or run, and nothing is written. By default that is done in
    a process with limits; plugins that are given look at it in this one.

    Args:
        path: A ``.mar``, a ``.tar.gz`` or a folder.
        allow_pickle: Whether weights that can run code when they are loaded are a warning rather
            than an error.
        plugins: Who looks; by default every plugin that is installed.

    Returns:
        What was found. An archive that is not there, or cannot be read, is a failure.
    """
    if plugins is not None:
        return look_at(path, allow_pickle=allow_pickle, plugins=plugins)
    try:
        found = examine_in_child(path, allow_pickle=allow_pickle)
    except ArchiveError as error:
        return Checked(path=os.fspath(path), failure=str(error))
    return Checked(path=os.fspath(path), findings=found)


def examine_in_child(
    path: str | os.PathLike[str], *, allow_pickle: bool = False
) -> tuple[Finding, ...]:
    """Read an archive to its end and hold it against every rule, in a process with limits.

    Nothing of the archive is imported, unpickled or run. The process may take two seconds of
    processor time and one more for each 50 MiB, or ``MAR_MAX_SECONDS``, and 300 MiB of memory, or
    ``MAR_MAX_MEMORY``. It is a fork of this one where nothing but this thread runs, and a fresh
    interpreter else.

    Args:
        path: A ``.mar``, a ``.tar.gz`` or a folder.
        allow_pickle: Whether weights that can run code when they are loaded are a warning rather
            than an error.

    Returns:
        What was found; ``MAR-L003`` says that it costs more than that.

    Raises:
        ArchiveError: It is not there, or cannot be read.
        UsageError: A variable that sets a limit makes no sense.
    """
    seconds, memory = seconds_allowed(_size(Path(path))), memory_allowed()
    task = {
        "path": os.fspath(path),
        "allow_pickle": allow_pickle,
        "seconds": seconds,
        "memory": memory,
    }
    may_fork = hasattr(os, "fork") and threading.active_count() == 1 and "torch" not in sys.modules
    answer = _in_fork(task) if may_fork else _in_fresh(task)
    if answer is None:
        message = (
            f"The archive costs more than {seconds:.3g} seconds or {memory >> 20:,} MiB of memory "
            "to examine."
        )
        return (finding("MAR-L003", message),)
    if answer["failure"] is not None:
        raise ArchiveError(answer["failure"])
    return tuple(
        Finding(**{**found, "severity": Severity(found["severity"])})
        for found in answer["findings"]
    )


def look_at(path: str | os.PathLike[str], *, allow_pickle: bool, plugins: Plugins) -> Checked:
    """The same in this process, within the budget that readers and rules keep."""
    from mar_core.checks.validation import validate, without_repeats
    from mar_core.format.budget import TooCostly, budget
    from mar_core.format.reader import open_archive

    try:
        with open_archive(path) as archive, budget(archive.stored_size):
            damage = archive.verify()
            found = validate(archive, plugins=plugins, allow_pickle=allow_pickle)
    except TooCostly as error:
        damage, found = [], [error.finding]
    except ValidationError as error:
        damage, found = [], list(error.findings)
    except ArchiveError as error:
        return Checked(path=os.fspath(path), failure=str(error))
    return Checked(path=os.fspath(path), findings=tuple(without_repeats([*damage, *found])))


def main() -> None:
    """Do the task of standard input, in a fresh interpreter, and write the answer to its output."""
    task = json.loads(sys.stdin.buffer.read())
    output = os.dup(1)
    os.dup2(2, 1)  # whatever a plugin prints is no part of the answer
    _answer(task, output)


def _in_fork(task: Mapping[str, Any]) -> dict[str, Any] | None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _answer(task, writing)
        finally:
            os._exit(0)
    os.close(writing)
    timer = threading.Timer(_wait(task), _kill, [child])
    timer.daemon = True
    timer.start()
    try:
        with os.fdopen(reading, "rb") as stream:
            raw = stream.read(_MAX_ANSWER + 1)
    except BaseException:
        _kill(child)
        raise
    finally:
        timer.cancel()
        timer.join()
        os.waitpid(child, 0)
    return _parsed(raw)


def _in_fresh(task: Mapping[str, Any]) -> dict[str, Any] | None:
    command = [sys.executable, "-P", "-c", _FRESH]
    try:
        done = subprocess.run(
            command, input=json.dumps(task).encode(), stdout=subprocess.PIPE, check=False,
            timeout=_wait(task),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return _parsed(done.stdout)


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """The answer, or None where the child ended before it was whole."""
    try:
        answer = json.loads(raw) if len(raw) <= _MAX_ANSWER else None
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _answer(task: Mapping[str, Any], output: int) -> None:
    """Examine the archive within the limits, and write what was found."""
    from mar_core.plugins import get_plugins

    plugins = get_plugins()  # importing them is no cost of the archive's
    _limit(task["seconds"], task["memory"])
    answer: dict[str, Any] = {"failure": None, "findings": []}
    try:
        checked = look_at(task["path"], allow_pickle=task["allow_pickle"], plugins=plugins)
        answer["failure"] = checked.failure
        answer["findings"] = [found.to_dict() for found in checked.findings]
    except MemoryError:
        return  # no answer: it costs too much
    except MarError as error:
        answer["failure"] = str(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not look like a verdict
        traceback.print_exc()
        answer["failure"] = f"It could not be examined: {type(error).__name__}."
    raw = json.dumps(answer).encode()
    with os.fdopen(output, "wb") as stream:
        stream.write(raw)


def _limit(seconds: float, memory: int) -> None:
    """Have the system end this process when it takes more."""
    try:
        import resource
    except ImportError:  # Windows: only the budget of readers and rules is kept
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = int(used.ru_utime + used.ru_stime + seconds) + 2  # the budget comes first, with words
    _set(resource, "RLIMIT_CPU", hard)
    _set(resource, "RLIMIT_CORE", 0)
    taken = _address_space()
    if taken is not None:
        _set(resource, "RLIMIT_AS", taken + memory)


def _set(resource: Any, name: str, value: int) -> None:
    kind = getattr(resource, name)
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (value, most))


def _address_space() -> int | None:
    """The bytes of address space that this process has, where the system says so."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _wait(task: Mapping[str, Any]) -> float:
    return _START + _PATIENCE * float(task["seconds"])


def _kill(child: int) -> None:
    import signal

    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _size(path: Path) -> int:
    """The bytes of a file, or of a folder's files together."""
    try:
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where it may not be searched
            files = (Path(at, name) for at, _, names in os.walk(path) for name in names)
            return sum(file.lstat().st_size for file in files)
        return path.stat().st_size
    except (OSError, ValueError):
        return 0
