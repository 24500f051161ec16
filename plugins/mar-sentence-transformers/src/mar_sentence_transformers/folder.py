"""What a saved model of sentence-transformers must hold, looked at before it is loaded.

The library makes up what is not there: an empty tokenizer, another pooling, a head of random
numbers. What is missing is an error here, and names the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "CONFIG",
    "KIND_FILE",
    "MODULES",
    "check",
    "model_folder",
    "modules_of",
    "own_code",
    "read_json",
]

MODULES, CONFIG = "modules.json", "config.json"
KIND_FILE = "config_sentence_transformers.json"
ADAPTER = "adapter_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model", "preprocessor_config.json", "processor_config.json",
)  # fmt: skip
_LARGEST = 64 << 20
# Modules that are nothing without their config, and those that have weights of their own.
CONFIGURED = {"Pooling", "Dense"}
WEIGHTED = {"Dense"}
HINT = (
    "Archive the whole folder that sentence-transformers saved: nothing is fetched while an "
    "archive runs."
)


def model_folder(model_dir: Path) -> Path:
    """Where the model lies in an unpacked archive: at its top, or in the one folder that has it.

    Raises:
        ModelError: It lies nowhere, or in two places.
    """
    for name in (MODULES, CONFIG):
        if (model_dir / name).is_file():
            return model_dir
        found = sorted(path.parent for path in model_dir.glob(f"*/{name}"))
        if name == CONFIG:  # a module of a model has a config, too
            found = [place for place in found if _has(place, WEIGHTS + INDEXES)]
        if len(found) > 1:
            places = " and ".join(path.name for path in found)
            raise ModelError(f"The archive holds several models: {places}.")
        if found:
            return found[0]
    raise ModelError(f"The archive has neither {MODULES} nor {CONFIG}.", hint=HINT)


def check(folder: Path, kind: str) -> None:
    """Look whether everything is there that the model needs.

    Args:
        folder: The model's folder.
        kind: ``SentenceTransformer`` or ``CrossEncoder``.

    Raises:
        ModelError: A file is missing, or it is a model of another kind.
    """
    if (folder / KIND_FILE).is_file():
        found = _read_object(folder / KIND_FILE).get("model_type", "SentenceTransformer")
        if found != kind:
            raise ModelError(
                f"The model is a {found}, which this handler does not run.",
                hint="The handler sentence_transformer runs a SentenceTransformer, cross_encoder a "
                "CrossEncoder.",
            )
    for place, missing in _missing(folder):
        name = (place / missing).relative_to(folder).as_posix()
        raise ModelError(f"The archive lacks {name} of the model.", hint=HINT)
    if kind == "CrossEncoder" and not (folder / MODULES).is_file():
        _check_head(folder)


def own_code(folder: Path) -> str | None:
    """The first class among a model's modules that is none of sentence-transformers' own."""
    rows = read_json(folder / MODULES) if (folder / MODULES).is_file() else []
    kinds = [str(row["type"]) for row in rows]
    return next((kind for kind in kinds if not kind.startswith("sentence_transformers.")), None)


def modules_of(folder: Path) -> list[tuple[str, str]]:
    """The class and the place of each module of a model; a plain transformer is one module.

    Raises:
        ModelError: ``modules.json`` is not what it must be.
    """
    if not (folder / MODULES).is_file():
        return [("Transformer", "")]
    found = read_json(folder / MODULES)
    try:
        rows = [(str(row["type"]).rpartition(".")[2], str(row["path"])) for row in found]
    except (KeyError, TypeError):
        raise ModelError(f"{MODULES} is no list of modules with a type and a path.") from None
    if not rows:
        raise ModelError(f"{MODULES} names no module.")
    for _, path in rows:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ModelError(f"{MODULES} names the place {path!r}, outside the model.")
    return rows


def read_json(path: Path) -> Any:
    """A file of JSON.

    Raises:
        ModelError: It is none, or larger than any that says what a model is.
    """
    with path.open("rb") as stream:
        raw = stream.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ModelError(f"{path.name} has more than {_LARGEST:,} bytes.")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not valid JSON: {error}.") from error


def _read_object(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} holds no JSON object.")
    return found


def _shards(index: dict[str, Any]) -> Iterable[Any]:
    named = index.get("weight_map")
    return named.values() if isinstance(named, dict) else ()


def _missing(folder: Path) -> Iterator[tuple[Path, str]]:
    """Places and names of files that are not there."""
    for kind, path in modules_of(folder):
        place = folder / path
        if kind == "Transformer":
            yield from _missing_of_transformer(place)
        elif kind in CONFIGURED and not (place / CONFIG).is_file():
            yield place, CONFIG
        if kind in WEIGHTED and not _has(place, WEIGHTS):
            yield place, WEIGHTS[0]


def _missing_of_transformer(place: Path) -> Iterator[tuple[Path, str]]:
    if not (place / CONFIG).is_file():
        yield place, CONFIG
    if (place / ADAPTER).is_file():
        base = _read_object(place / ADAPTER).get("base_model_name_or_path")
        raise ModelError(
            f"The model is an adapter for {base}, which is not in the archive.",
            hint="Merge it with PEFT's `merge_and_unload()`, save it, and archive that.",
        )
    if not _has(place, WEIGHTS + INDEXES):
        yield place, WEIGHTS[0]
    for index in INDEXES:
        if (place / index).is_file() and not _has(place, WEIGHTS):
            shards = sorted({str(name) for name in _shards(_read_object(place / index))})
            yield from ((place, shard) for shard in shards if not (place / shard).is_file())
    if not _has(place, TOKENIZERS):
        yield place, TOKENIZERS[0]


def _has(place: Path, names: tuple[str, ...]) -> bool:
    return any((place / name).is_file() for name in names)


def _check_head(folder: Path) -> None:
    """Refuse weights without a head that scores: the library would make one up."""
    found = _read_object(folder / CONFIG).get("architectures")
    architectures = found if isinstance(found, list) else []
    if not any(
        str(name).endswith(("ForSequenceClassification", "ForCausalLM")) for name in architectures
    ):
        listed = ", ".join(map(str, architectures)) or "no architecture"
        raise ModelError(
            f"The model's config names {listed}: it has no head that scores pairs.",
            hint="A reranker is a model for sequence classification.",
        )
