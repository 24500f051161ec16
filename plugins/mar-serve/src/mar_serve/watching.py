"""Loading sources again when a file of theirs is saved."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core import FileWatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from mar_core import ArchiveRequest
    from mar_serve.config import ModelSource

__all__ = ["watch"]

POLL_SECONDS = 0.2
_SKIPPED = {"__pycache__", ".git"}

logger = logging.getLogger("mar_serve.watch")


async def watch(sources: Iterable[ModelSource], reload: Callable[[], Awaitable[None]]) -> None:
    """Load everything again whenever a file changes, for as long as the server runs.

    Args:
        sources: The models, as the user named them.
        reload: Loads them again; what is broken is its business.
    """
    named = [source.source for source in sources]
    saved = await asyncio.to_thread(FileWatch, lambda: (p for one in named for p in _files(one)))
    while True:
        await asyncio.sleep(POLL_SECONDS)
        changed = await asyncio.to_thread(saved.changed)
        if changed:
            names = sorted({path.name for path in changed})
            logger.info("%s changed; loading again", ", ".join(names))
            await reload()


def _files(source: str | ArchiveRequest) -> Iterator[Path]:
    if isinstance(source, str):
        yield from _below(Path(source))
        return
    yield from source.files
    for extra in source.extra_paths:
        yield from _below(extra)


def _below(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        yield from (p for p in path.rglob("*") if not _SKIPPED & set(p.parts) and p.is_file())
