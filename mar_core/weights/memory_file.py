"""A path for loaders that take nothing else, without a disk: a file in memory, gone when closed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.weights.weights_format import ModelSource

__all__ = ["file_of"]

# More than this is unpacked: for as long as a model is loaded, it would be in memory twice.
_MOST = 1 << 30
_CHUNK = 1 << 20


@contextlib.contextmanager
def file_of(source: ModelSource, method: str) -> Iterator[Path]:
    """A file that holds the weights, for a method of the handler that opens it once.

    Args:
        source: The weights.
        method: The method's name. One that the handler overrides gets the real file.

    Yields:
        Its path, which is there as long as the ``with`` statement lasts.
    """
    place = source.place_for(method)
    assert place is not None  # noqa: S101 - there is a format only where there is a file
    if not source.in_place:
        yield place
        return
    with source.open() as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if size > _MOST or not hasattr(os, "memfd_create"):
            yield source.files.path(source.name)
            return
        with os.fdopen(os.memfd_create("weights"), "wb") as copy:
            while chunk := stream.read(_CHUNK):
                copy.write(chunk)
            copy.flush()
            yield Path(f"/proc/self/fd/{copy.fileno()}")
