"""Which files a model of transformers consists of, and what is missing: no library is asked."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = [
    "ADAPTER", "CONFIG", "INDEXES", "LARGEST", "TOKENIZERS", "WEIGHTS", "missing", "read_json",
]  # fmt: skip

CONFIG = "config.json"
ADAPTER = "adapter_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
INDEXES = tuple(f"{name}.index.json" for name in WEIGHTS)
# One of these is there where a model reads text, whatever its tokenizer is.
TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model", "source.spm", "tekken.json", "bpe.codes", "vocab.bpe",
)  # fmt: skip
LARGEST = 64 << 20


def missing(
    names: Collection[str], read: Callable[[str], bytes], *, weights: str | None = None
) -> Iterator[str]:
    """What a model lacks that transformers would ask the hub for; one sentence each.

    Args:
        names: The files that are there.
        read: Gives the content of one.
        weights: The file that the archive names as its weights, whatever it is called.
    """
    if CONFIG not in names:
        if ADAPTER in names:
            yield _without_base(read)
        else:
            yield f"There is no {CONFIG}."
        return
    index = next((name for name in INDEXES if name in names), None)
    if index is not None and not any(name in names for name in WEIGHTS):
        yield from _missing_shards(index, names, read)
    elif index is None and weights is None and not any(name in names for name in WEIGHTS):
        yield f"There are no weights: neither {WEIGHTS[0]} nor {INDEXES[0]} with its parts."
    yield from _missing_code(names, read)


def read_json(read: Callable[[str], bytes], name: str) -> dict[str, Any]:
    """A JSON object; empty where the file holds none."""
    try:
        found = json.loads(read(name)[:LARGEST])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _missing_shards(
    index: str, names: Collection[str], read: Callable[[str], bytes]
) -> Iterator[str]:
    parts = read_json(read, index).get("weight_map")
    if not isinstance(parts, dict) or not parts:
        yield f"{index} does not say where the weights are."
        return
    gone = sorted({str(part) for part in parts.values()} - set(names))
    if gone:
        listed = gone[0] if len(gone) == 1 else f"{gone[0]} and {len(gone) - 1} more"
        yield f"{index} names {listed}, which is not there."


def _without_base(read: Callable[[str], bytes]) -> str:
    base = read_json(read, ADAPTER).get("base_model_name_or_path")
    return (
        f"It holds an adapter only; the model that it changes, {base!r}, is not there: there is "
        f"no {CONFIG}. Merge them (`merge_and_unload`) and save the whole."
    )


def _missing_code(names: Collection[str], read: Callable[[str], bytes]) -> Iterator[str]:
    """Code of the model's own (`auto_map`) that is elsewhere."""
    mapped = read_json(read, CONFIG).get("auto_map")
    values = mapped.values() if isinstance(mapped, dict) else ()
    listed = [one for value in values for one in (value if isinstance(value, list) else [value])]
    for reference in dict.fromkeys(one for one in listed if isinstance(one, str)):
        repository, separator, path = reference.rpartition("--")
        if separator:
            yield f"Its code, {path}, is in another repository, {repository}."
        elif (file := f"{posixpath.splitext(path)[0]}.py") not in names:
            yield f"{CONFIG} names {file} as its code, which is not there."
