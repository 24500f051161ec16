"""What a saved model of sentence-transformers must hold, looked at before it is loaded.

The library makes up what is not there: an empty tokenizer, another pooling, a head of random
numbers. What is missing is an error here, and names the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mar_core import ModelError, SavedFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CONFIG",
    "KIND_FILE",
    "MODULES",
    "check",
    "model_folder",
    "modules_of",
    "own_code",
]

MODULES, CONFIG = "modules.json", "config.json"
KIND_FILE = "config_sentence_transformers.json"
ADAPTER = "adapter_config.json"
# A model may take pictures alone, with a processor and no tokenizer.
TOKENIZERS = (*SavedFiles.TOKENIZERS, "preprocessor_config.json", "processor_config.json")
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
            found = [place for place in found if _has_weights(SavedFiles.in_folder(place))]
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
        found = (
            SavedFiles.in_folder(folder).json(KIND_FILE).get("model_type", "SentenceTransformer")
        )
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
    files = SavedFiles.in_folder(folder)
    rows = files.parsed(MODULES) if MODULES in files else []
    kinds = [str(row["type"]) for row in rows]
    return next((kind for kind in kinds if not kind.startswith("sentence_transformers.")), None)


def modules_of(folder: Path) -> list[tuple[str, str]]:
    """The class and the place of each module of a model; a plain transformer is one module.

    Raises:
        ModelError: ``modules.json`` is not what it must be.
    """
    files = SavedFiles.in_folder(folder)
    if MODULES not in files:
        return [("Transformer", "")]
    found = files.parsed(MODULES)
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


def _missing(folder: Path) -> Iterator[tuple[Path, str]]:
    """Places and names of files that are not there."""
    for kind, path in modules_of(folder):
        place = folder / path
        files = SavedFiles.in_folder(place)
        if kind == "Transformer":
            yield from ((place, name) for name in _missing_of_transformer(files))
        elif kind in CONFIGURED and CONFIG not in files:
            yield place, CONFIG
        if kind in WEIGHTED and files.weights is None:
            yield place, files.WEIGHTS[0]


def _missing_of_transformer(files: SavedFiles) -> Iterator[str]:
    if CONFIG not in files:
        yield CONFIG
    if ADAPTER in files:
        base = files.json(ADAPTER).get("base_model_name_or_path")
        raise ModelError(
            f"The model is an adapter for {base}, which is not in the archive.",
            hint="Merge it with PEFT's `merge_and_unload()`, save it, and archive that.",
        )
    if not _has_weights(files):
        yield files.WEIGHTS[0]
    elif files.weights is None and files.index is not None:
        yield from (part for part in files.parts(files.index) if part not in files)
    if files.first(TOKENIZERS) is None:
        yield TOKENIZERS[0]


def _has_weights(files: SavedFiles) -> bool:
    return files.weights is not None or files.index is not None


def _check_head(folder: Path) -> None:
    """Refuse weights without a head that scores: the library would make one up."""
    found = SavedFiles.in_folder(folder).json(CONFIG).get("architectures")
    architectures = found if isinstance(found, list) else []
    if not any(
        str(name).endswith(("ForSequenceClassification", "ForCausalLM")) for name in architectures
    ):
        listed = ", ".join(map(str, architectures)) or "no architecture"
        raise ModelError(
            f"The model's config names {listed}: it has no head that scores pairs.",
            hint="A reranker is a model for sequence classification.",
        )
