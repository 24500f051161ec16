"""What a worker's ``torch.compile`` makes, kept from one start to the next in the cache.

The files are the compiler's own: machine code and pickles, which it loads as it finds them. They
lie where nobody else can write (``prepared_place`` makes sure), and what is not as this user's own
mar has noted it is removed before the compiler sees it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.cache import entry as cache_entry
from mar_core.cache.entry import COMPILED, FILES, NEW, NOTE
from mar_core.cache.location import prepared_place
from mar_core.errors import MarError
from mar_core.format import locks
from mar_core.ts.compile import compile_options
from mar_core.ts.device import choose_gpu_id

if TYPE_CHECKING:
    from mar_core.runtime.prepared import Prepared

__all__ = ["CompiledCode", "keep_compiled"]

logger = logging.getLogger(__name__)

# The compiler's own variable; who sets it knows where its files belong.
VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
# A file that has not been written to for so long is whole: its compiler has ended, or was killed,
# and then nobody has noted it.
SETTLED_SECONDS = 30
# The compiler's locks, which change with every use.
LOCKS = ".lock"
TRIES = 5


def keep_compiled(prepared: Prepared, device: str | None) -> CompiledCode | None:
    """Let this process compile into the cache, beside the archive, where its config has it compile.

    The process must be the worker's own: the place is a variable of its environment.

    Args:
        prepared: The archive.
        device: Where its model goes, as the user said it.

    Returns:
        The entry, for whoever closes it; None where nothing is compiled, or nothing can be kept.
    """
    try:
        if compile_options(prepared.config) is None or _is_said():
            return None
        made_for = _made_for(choose_gpu_id(device, prepared.config))
        kept = CompiledCode(prepared.digest, made_for, name=prepared.name)
    except (MarError, OSError) as error:
        # What is wrong with the config or the device, whoever loads the model says.
        logger.info("What is compiled is not kept: %s", error)
        return None
    os.environ[VARIABLE] = str(kept.path)
    return kept


def _is_said() -> bool:
    """Whether the user has said where the compiler's files belong.

    The compiler sets its variable itself, to its usual place, in a process that it is used in: a
    parent's value of that kind says nothing.
    """
    said = os.environ.get(VARIABLE)
    if not said:
        return False
    usual = Path(tempfile.gettempdir()).absolute()
    return Path(said).parent != usual or not Path(said).name.startswith("torchinductor_")


def _made_for(gpu: int | None) -> str:
    """What compiled code depends on, beside the model."""
    import torch

    if gpu is None or not torch.cuda.is_available():
        device = _processor()
    else:
        device = f"{torch.cuda.get_device_name(gpu)} {torch.cuda.get_device_capability(gpu)}"
    toolkit = torch.version.cuda or torch.version.hip or "cpu"
    return f"{device}, torch {torch.__version__} {toolkit}, Python {platform.python_version()}"


def _processor() -> str:
    """The processor: code is compiled for the very one that is there."""
    named = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for key in ("model name", "flags", "Features"):
        found = next((line for line in lines if line.startswith(key)), "")
        named += found.partition(":")[2].strip() + " "
    digest = hashlib.sha256(named.encode()).hexdigest()[:12]
    return f"{platform.machine()} {digest}" if named.strip() else platform.processor()


class CompiledCode:
    """The entry of one model, for one machine and one compiler. It is in use while this is open.

    Args:
        digest: What names the archive.
        made_for: Whatever else the code depends on: device, versions.
        name: The model's name.

    Attributes:
        path: The folder for the compiler.

    Raises:
        ArchiveError: The cache's place cannot be made, or is not ours alone.
        OSError: The entry cannot be made.
    """

    def __init__(self, digest: str, made_for: str, *, name: str) -> None:
        key = hashlib.sha256(f"{digest}\n{made_for}".encode()).hexdigest()
        self._folder = prepared_place() / f"{COMPILED}{key}"
        self._name, self._source = name, f"compiled for {made_for}"
        self._noted: dict[Path, tuple[int, int]] = {}
        self.path = self._folder / FILES
        self._held: int | None = None
        for _ in range(TRIES):
            self._make()
            self._sweep()
            self._held = locks.hold(self._folder)
            if self._held is not None:
                return
        raise BlockingIOError(f"{self._folder} is taken away again and again")

    def note(self) -> None:
        """Note what has been compiled, so that the next start takes it for sound."""
        if self._held is None:
            return
        whole = None if self._alone(self._held) else time.time() - SETTLED_SECONDS
        found = self._found(before=whole)
        if self._held is not None and found.items() - self._noted.items():
            with contextlib.suppress(OSError):  # the disk is full: the next start compiles again
                self._write_note(self._folder, sorted(found))
                self._noted = found

    def close(self) -> None:
        """Note what has been compiled, and let go of the entry."""
        self.note()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _write_note(self, folder: Path, paths: list[Path]) -> None:
        cache_entry.write_note(folder, name=self._name, source=self._source, paths=paths)

    def _make(self) -> None:
        """Make the entry where there is none, whole in one step."""
        if cache_entry.is_noted(self._folder):
            return
        cache_entry.remove(self._folder)  # whatever stands there without a note
        new = Path(tempfile.mkdtemp(prefix=NEW, dir=self._folder.parent))
        try:
            (new / FILES).mkdir(mode=0o700)
            self._write_note(new, [])
            with contextlib.suppress(FileExistsError, OSError):  # another process was faster
                new.rename(self._folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what is not as noted, where nobody else is at work."""
        descriptor = locks.try_exclusive(self._folder)
        if descriptor is None:
            return
        try:
            changed = cache_entry.changed_files(self._folder)
            if changed:
                logger.warning(
                    "What was compiled for this model has changed since, and is compiled again: %s",
                    changed[0],
                )
            for path in (*changed, *cache_entry.strangers(self._folder)):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            self._noted = self._found(before=None)
            # Known as used: the longest unused entries go first when the cache is full.
            os.utime(self._folder / NOTE)
        finally:
            os.close(descriptor)

    def _alone(self, held: int) -> bool:
        """Whether no other process has the entry in use; it stays in use here."""
        os.close(held)
        descriptor = locks.try_exclusive(self._folder)
        if descriptor is not None:
            os.close(descriptor)
        self._held = locks.hold(self._folder)
        return descriptor is not None

    def _found(self, *, before: float | None) -> dict[Path, tuple[int, int]]:
        """Size and time of every file, of those last written to before a moment."""
        found = {}
        for parent, _, names in os.walk(self.path):
            for path in (Path(parent, name) for name in names if not name.endswith(LOCKS)):
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if before is None or status.st_mtime < before:
                        found[path] = status.st_size, status.st_mtime_ns
        return found
