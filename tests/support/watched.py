"""Opens every archive of a folder while an audit hook watches what Python does meanwhile.

Run as a script, ``python watched.py FOLDER CACHE``: prints one JSON line for each file, and a last
one about the process. Whatever is written outside the cache, executed, imported from the folder,
unpickled, started or connected to is reported. With ``content`` as a third word, what the archives
hold is looked into, too.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peak import peak

FORBIDDEN = {
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system",
    "pickle.find_class", "shutil.unpack_archive", "socket.connect", "subprocess.Popen",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = {
    "os.chmod": 1, "os.chown": 1, "os.link": 2, "os.mkdir": 1, "os.remove": 1, "os.rename": 2,
    "os.rmdir": 1, "os.symlink": 2, "os.truncate": 1, "os.utime": 1,
}  # fmt: skip


class Watch:
    """Collects what should not happen while it is on.

    Attributes:
        seen: What happened.
        on: Whether it looks.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = str(folder), str(cache)
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        self.on = False
        try:
            if self._is_bad(event, args):
                self.seen.append(f"{event} {args!r}"[:300])
        finally:
            self.on = True

    def _is_bad(self, event: str, args: tuple[Any, ...]) -> bool:
        if event == "open":
            return bool(args[2] & WRITING) and self._is_outside(args[0])
        if event in CHANGING:
            below_descriptor = isinstance(args[-1], int) and args[-1] >= 0  # as shutil.rmtree does
            paths = args[: CHANGING[event]]
            return not below_descriptor and any(self._is_outside(path) for path in paths)
        if event == "exec":
            return args[0].co_filename.startswith((self.folder, self.cache))
        if event == "import":
            return bool(args[1]) and str(args[1]).startswith((self.folder, self.cache))
        return event in FORBIDDEN

    def _is_outside(self, path: object) -> bool:
        if isinstance(path, int):  # a descriptor that was opened before
            return False
        given = Path(os.fsdecode(path))  # of any type
        return not str(Path(os.path.realpath(given.parent)) / given.name).startswith(self.cache)


def look_at(path: Path) -> dict[str, Any]:
    """Open, verify and unpack one archive; the findings' codes, and what was left in the cache."""
    from mar_core.cache.entries import unpacked
    from mar_core.findings import ValidationError
    from mar_core.format import open_archive

    codes: list[str] = []
    messages: list[str] = []
    start = time.perf_counter()
    try:
        with open_archive(path) as archive:
            found = list(archive.findings) + archive.verify()
            codes += [one.code for one in found]
            messages += [str(one) for one in found]
            unpacked(archive)
    except ValidationError as error:
        codes += [one.code for one in error.findings]
        messages += [str(error)]
    seconds = time.perf_counter() - start
    return {"name": path.name, "codes": codes, "messages": messages, "seconds": seconds}


def look_into(path: Path) -> dict[str, Any]:
    """Validate and inspect one archive, and compare it with ``sound.mar`` beside it."""
    from mar_core.checks.validation import validate
    from mar_core.format import open_archive
    from mar_core.reports.difference import compare_archives
    from mar_core.reports.inspection import inspect_archive

    start = time.perf_counter()
    with open_archive(path) as archive:
        found = [*archive.verify(), *validate(archive)]
    inspect_archive(path)
    compare_archives(path, path.with_name("sound.mar"))
    compare_archives(path.with_name("sound.mar"), path)
    seconds = time.perf_counter() - start
    return {"name": path.name, "codes": [one.code for one in found], "seconds": seconds}


def main() -> None:
    look = look_into if "content" in sys.argv else look_at
    folder, cache = (Path(os.path.realpath(path)) for path in sys.argv[1:3])
    os.environ["MAR_CACHE_DIR"] = str(cache)
    tempfile.tempdir = str(cache / "copies")  # a tar.gz is inflated to a file without a name
    Path(tempfile.tempdir).mkdir(parents=True, exist_ok=True)
    look_at_once = folder / min(path.name for path in folder.iterdir())
    look(look_at_once)  # imports what is imported late
    watch = Watch(folder, cache)
    for path in sorted(folder.iterdir()):
        before = set(cache.glob("*/*"))
        watch.on = True
        report = look(path)
        watch.on = False
        report["seen"], watch.seen = watch.seen, []
        report["left"] = sorted(path.name for path in set(cache.glob("*/*")) - before)
        print(json.dumps(report))
    modules = [name for name in ("torch", "numpy") if name in sys.modules]
    print(json.dumps({"peak": peak(), "modules": modules}))


if __name__ == "__main__":
    main()
