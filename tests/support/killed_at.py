"""Does something again and again, and is killed a step later each time.

``kills(operation, folder)`` forks a child for each step that the operation takes in a folder: a
file opened, made, renamed, linked or removed there, and with ``writes`` also each write, flush and
change of a length anywhere. The child ends by SIGKILL before its n-th step.
As a script it prints one JSON line for each child: what stands in the folder then.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEPS = {
    "open",
    "os.rename",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.scandir",
    "os.truncate",
}
WRITES = ("pwrite", "ftruncate", "fsync")
NEVER = 1 << 30


def kills(operation: Callable[[], object], folder: Path, *, writes: bool = False) -> Iterator[int]:
    """The status of each child, as ``os.waitpid`` gives it; zero at last, where none was killed."""
    step = 0
    while True:
        step += 1
        child = os.fork()
        if child == 0:
            _die_at(step, folder, WRITES if writes else ())
            operation()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        yield status
        if not os.WIFSIGNALED(status):
            return


def _die_at(step: int, folder: Path, writes: tuple[str, ...]) -> None:
    left, here = step, str(folder)

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            count()
            return function(*args, **more)

        return call

    for name in writes:
        setattr(os, name, counted(getattr(os, name)))

    def hook(event: str, args: tuple[Any, ...]) -> None:
        paths = (os.path.join(folder, arg) for arg in args[:2] if isinstance(arg, (str, Path)))  # noqa: PTH118
        if event in STEPS and any(path.startswith(here) for path in paths):
            count()

    sys.addaudithook(hook)


def main() -> None:
    """``killed_at.py FOLDER KIND FORMAT``: replace, update or unpack ``m`` in the folder."""
    folder, kind, named = Path(os.path.realpath(sys.argv[1])), sys.argv[2], sys.argv[3]
    from mar_core import archive, open_archive, update, validate
    from mar_core.cache.entries import unpacked
    from mar_core.format import atomic, journal

    archive_format = named.removesuffix("-named")
    if named.endswith("-named"):
        atomic._open_unnamed = lambda _: None  # a file system without nameless files
    journal._CHUNK = 4096  # so that there are several steps
    os.chdir(folder)
    made = archive("m", handler="handler.py", version="1.0", force=True,
                   extra_files="data.bin", archive_format=archive_format)  # fmt: skip
    with open_archive(made) as opened:
        validate(opened)  # imports what is imported late

    def work(version: str) -> object:
        if kind == "replace":
            return archive("m", handler="handler.py", version=version, force=True,
                           extra_files="data.bin", archive_format=archive_format)  # fmt: skip
        if kind == "update":
            return update(made, version=version)
        if kind == "in-place":
            longer = {"2.0": "1" * 5000 + ".0", "4.0": "4.0"}  # the file grows, and shrinks
            (folder / "notes.txt").write_text(longer[version])
            return update(made, version=version, extra_files="notes.txt", in_place=True)
        with open_archive(made) as opened:
            return unpacked(opened)

    place = Path(os.environ["MAR_CACHE_DIR"], "unpacked-1") if kind == "unpack" else folder
    original = made.read_bytes() if kind == "in-place" else b""
    for status in kills(lambda: work("2.0"), place, writes=kind == "in-place"):
        raw = hashlib.sha256(made.read_bytes()).hexdigest() if original else ""
        with open_archive(made) as opened:
            sound = not opened.verify()
            version = opened.manifest.model_version
        left = sorted(path.name for path in place.iterdir()) if place.exists() else []
        print(json.dumps({"killed": os.WIFSIGNALED(status), "status": status, "sound": sound,
                          "version": version, "left": left, "raw": raw}))  # fmt: skip
        if original:
            made.write_bytes(original)
    if kind == "unpack":
        update(made, version="3.0")
    work("4.0")
    print(json.dumps(sorted(path.name for path in place.iterdir())))


if __name__ == "__main__":
    main()
