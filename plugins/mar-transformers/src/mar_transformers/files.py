"""Which files a model of transformers consists of, and what is missing: no library is asked."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import SavedFiles

__all__ = ["ADAPTER", "CONFIG", "missing"]

CONFIG = "config.json"
ADAPTER = "adapter_config.json"


def missing(files: SavedFiles, *, weights: str | None = None) -> Iterator[str]:
    """What a model lacks that transformers would ask the hub for; one sentence each.

    Args:
        files: The files that are there.
        weights: The file that the archive names as its weights, whatever it is called.
    """
    try:
        yield from _missing(files, weights)
    except ModelError as error:
        yield error.message


def _missing(files: SavedFiles, weights: str | None) -> Iterator[str]:
    if CONFIG not in files:
        yield _without_base(files) if ADAPTER in files else f"There is no {CONFIG}."
        return
    files.json(CONFIG)
    if files.weights is None:
        if files.index is not None:
            yield from _missing_parts(files, files.index)
        elif weights is None:
            first, index = files.WEIGHTS[0], files.INDEXES[0]
            yield f"There are no weights: neither {first} nor {index} with its parts."
    yield from _missing_code(files)


def _missing_parts(files: SavedFiles, index: str) -> Iterator[str]:
    gone = [part for part in files.parts(index) if part not in files]
    if gone:
        listed = gone[0] if len(gone) == 1 else f"{gone[0]} and {len(gone) - 1} more"
        yield f"{index} names {listed}, which is not there."


def _without_base(files: SavedFiles) -> str:
    base = files.json(ADAPTER).get("base_model_name_or_path")
    return (
        f"It holds an adapter only; the model that it changes, {base!r}, is not there: there is "
        f"no {CONFIG}. Merge them (`merge_and_unload`) and save the whole."
    )


def _missing_code(files: SavedFiles) -> Iterator[str]:
    """Code of the model's own (`auto_map`) that is elsewhere."""
    mapped = files.json(CONFIG).get("auto_map")
    values = mapped.values() if isinstance(mapped, dict) else ()
    listed = [one for value in values for one in (value if isinstance(value, list) else [value])]
    for reference in dict.fromkeys(one for one in listed if isinstance(one, str)):
        repository, separator, path = reference.rpartition("--")
        if separator:
            yield f"Its code, {path}, is in another repository, {repository}."
        elif (file := f"{posixpath.splitext(path)[0]}.py") not in files:
            yield f"{CONFIG} names {file} as its code, which is not there."
