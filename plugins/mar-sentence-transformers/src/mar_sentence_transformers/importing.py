"""``mar archive --from FOLDER``: a folder that sentence-transformers has saved."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mar_core import Imported, ModelError, SavedFiles, UsageError
from mar_sentence_transformers.folder import (
    CONFIG,
    KIND_FILE,
    MODULES,
    check,
    modules_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mar_core import ArchiveRequest

__all__ = ["import_folder"]

HANDLERS = {"SentenceTransformer": "sentence_transformer", "CrossEncoder": "cross_encoder"}
# What else lies in folders of models: other frameworks' weights, a training's state.
OTHERS = re.compile(
    r"(onnx|openvino|coreml|runs|checkpoint-\d+|__pycache__)"
    r"|.*\.(onnx|h5|msgpack|ot|mlmodel|tflite|gguf)"
    r"|(optimizer|scheduler|scaler)\.pt|rng_state.*\.pth|training_args\.bin|\..*"
)
PICKLED = re.compile(r"pytorch_model.*\.bin(\.index\.json)?")


def import_folder(source: Path, request: ArchiveRequest) -> Imported | None:
    """Say what a folder holds, and what an archive of it needs.

    Args:
        source: The folder.
        request: What the user asked for.

    Returns:
        The request with the handler and the files; None where the folder is none of
        sentence-transformers'.

    Raises:
        UsageError: It is a model of sentence-transformers that no handler here runs.
        ModelError: A file of the model is missing.
    """
    kind = _kind_of(source, request.handler)
    if kind is None:
        return None
    if kind not in HANDLERS:
        raise UsageError(
            f"{source.name} is a {kind} of sentence-transformers.",
            hint=f"mar-sentence-transformers runs {' and '.join(HANDLERS)}.",
        )
    check(source, kind)
    handler = HANDLERS[kind]
    modules = ", ".join(name for name, _ in modules_of(source))
    reasons = [f"{handler} runs a {kind}"]
    named = SavedFiles.in_folder(source).weights
    weights = source / named if named else None
    if weights is not None:
        reasons.append(f"{weights.name} are the weights")
    kept, left = _sorted_out(source)
    if left:
        reasons.append(f"left out, since nothing here reads it: {', '.join(left)}")
    files = tuple(_item(source, path) for path in kept if path != weights)
    return Imported(
        what=f"a {kind} of sentence-transformers: {modules}",
        request=replace(
            request, handler=request.handler or handler, serialized_file=weights, extra_files=files
        ),
        reasons=tuple(reasons),
    )


def _kind_of(source: Path, asked: str) -> str | None:
    """The library's class that saved a folder, or that the user's handler makes of a plain one."""
    if not source.is_dir():
        return None
    if (source / MODULES).is_file():
        kind = _read(source, KIND_FILE).get("model_type", "SentenceTransformer")
        return str(kind)
    if not (source / CONFIG).is_file():
        return None
    by_handler = {handler: kind for kind, handler in HANDLERS.items()}
    if asked in by_handler:
        return by_handler[asked]
    config = _read(source, CONFIG)
    # What versions 2 to 5 of the library write into the config of a CrossEncoder.
    said = "sbert_ce_default_activation_function" in config or "sentence_transformers" in config
    return "CrossEncoder" if said else None


def _read(source: Path, name: str) -> dict[str, Any]:
    """A JSON object; what is none is no mark of the library's."""
    files = SavedFiles.in_folder(source)
    try:
        return files.json(name) if name in files else {}
    except ModelError:
        return {}


def _sorted_out(source: Path) -> tuple[list[Path], list[str]]:
    """The files that are packed, and the names of what is left out."""
    kept, left = [], set()
    for path in sorted(_files(source)):
        parts = path.relative_to(source).parts
        other = next((at for at, name in enumerate(parts) if OTHERS.fullmatch(name)), None)
        if other is not None:
            name = "/".join(parts[: other + 1])
            if not parts[other].startswith("."):
                left.add(f"{name}/" if other + 1 < len(parts) else name)
        elif PICKLED.fullmatch(path.name) and any(path.parent.glob("*.safetensors")):
            left.add(path.relative_to(source).as_posix())
        else:
            kept.append(path)
    return kept, sorted(left)


def _files(source: Path) -> Iterator[Path]:
    return (path for path in source.rglob("*") if path.is_file())


def _item(source: Path, path: Path) -> str | Path:
    """A file as ``extra_files`` takes it, with the place that it has in the folder."""
    place = path.relative_to(source).parent.as_posix()
    if place == ".":
        return path
    escaped = str(path).replace(",", "\\,")
    return f"{escaped}={place}/"
