"""Loading sources again when a file of theirs is saved."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from mar_core import ArchiveRequest
    from mar_serve.config import ModelSource

__all__ = ["watch"]

POLL_SECONDS = 0.3
SETTLE_SECONDS = 0.1
_SKIPPED = {"__pycache__", ".git"}

Stamps = dict[Path, tuple[int, int] | None]

logger = logging.getLogger("mar_serve.watch")


async def watch(sources: Iterable[ModelSource], reload: Callable[[], Awaitable[None]]) -> None:
    """Load everything again whenever a file changes, for as long as the server runs.

    Args:
        sources: The models, as the user named them.
        reload: Loads them again; what is broken is its business.
    """
    sources = list(sources)
    stamps = await asyncio.to_thread(_stamps, sources)
    while True:
        await asyncio.sleep(POLL_SECONDS)
        now = await asyncio.to_thread(_stamps, sources)
        if now == stamps:
            continue
        # A file is emptied before it is written anew: wait until all of it is there.
        await asyncio.sleep(SETTLE_SECONDS)
        while (later := await asyncio.to_thread(_stamps, sources)) != now:
            now = later
            await asyncio.sleep(SETTLE_SECONDS)
        changed = sorted({path.name for path in now if now[path] != stamps.get(path)})
        logger.info("%s changed; loading again", ", ".join(changed) or "a file")
        stamps = now
        await reload()


def _stamps(sources: Iterable[ModelSource]) -> Stamps:
    return {path: _stamp(path) for source in sources for path in _files(source.source)}


def _files(source: str | ArchiveRequest) -> Iterator[Path]:
    if isinstance(source, str):
        yield from _below(Path(source))
        return
    handler = source.handler.partition(":")[0]
    named = (source.model_file, source.serialized_file, source.config_file)
    for name in (handler, f"{handler}.py", *named, source.requirements_file):
        if name is not None:
            yield Path(name)
    for extra in source.extra_files:
        yield from _below(Path(extra))


def _below(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        yield from (p for p in path.rglob("*") if not _SKIPPED & set(p.parts) and p.is_file())


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
