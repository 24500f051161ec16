"""``mar archive --from FOLDER``: what `save_pretrained` saved, or a snapshot of the hub's.

The archive's root is the folder: every file keeps its name, and safetensors stay what they are. A
single file of weights is the archive's weights; the parts of sharded ones lie beside their index.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mar_core import Imported, ModelError, SavedFiles
from mar_transformers.files import ADAPTER, CONFIG

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core import ArchiveRequest

__all__ = ["import_folder"]

HANDLER = "transformers"
# Another importer's: sentence-transformers, diffusers, MLflow.
_ELSEWHERE = ("modules.json", "model_index.json", "MLmodel")
# The same weights for other libraries, and what a training leaves behind.
_NOT_NEEDED = re.compile(
    r"(pytorch_model|flax_model|tf_model|rust_model)\b.*|.*\.(safetensors|bin|h5|ot|msgpack|onnx|"
    r"onnx_data|gguf|tflite|mlmodel|pth|pt|ckpt|lock)|(trainer_state|all_results|train_results|"
    r"eval_results)\.json|events\.out\.tfevents.*|\..*"
)
# What the class of a model cannot tell; its card does.
_ONLY_THE_CARD_SAYS = frozenset({"zero-shot-classification", "summarization", "translation"})
_CARD = "README.md"
_FRONT = 1 << 16


def import_folder(source: Path, request: ArchiveRequest, folder: Path) -> Imported | None:
    """Say what an archive of a folder holds.

    Args:
        source: The folder.
        request: What the flags said.
        folder: Where a model-config.yaml is written, if one is needed.

    Returns:
        The request; None where the folder is no model of transformers.
    """
    saved = SavedFiles.in_folder(source)
    if not source.is_dir() or not _is_ours(source, saved):
        return None
    config = saved.json(CONFIG) if CONFIG in saved else {}
    weights, parts, reasons = _weights(source, saved)
    files = [path for path in sorted(source.iterdir()) if _is_packed(path, config)]
    left = [path.name for path in sorted(source.iterdir()) if path not in {*files, weights, *parts}]
    if left:
        reasons.append(f"not packed, for it is not needed: {', '.join(left)}")
    config_file = None
    task = _task_of_card(source)
    if task is not None:
        config_file = folder / "model-config.yaml"
        config_file.write_text(f"handler: {{task: {task}}}\n", encoding="utf-8")
        reasons.append(f"{task} is what {_CARD} says that it is for")
    what = config.get("model_type") or "an adapter"
    return Imported(
        what=f"a model of transformers ({what})",
        request=replace(
            request,
            handler=request.handler or HANDLER,
            serialized_file=request.serialized_file or weights,
            extra_files=(*files, *parts, *request.extra_files),
            config_file=config_file,
        ),
        reasons=tuple(reasons),
    )


def _is_ours(source: Path, saved: SavedFiles) -> bool:
    if saved.first(_ELSEWHERE) is not None or _has_endpoint(source):
        return False
    if CONFIG not in saved:
        return ADAPTER in saved
    try:
        config = saved.json(CONFIG)
    except ModelError:
        if saved.weights is None and saved.index is None:
            return False  # a config.json of who knows what
        raise
    if "pretrained_cfg" in config and "model_type" not in config:  # timm's
        return False
    return bool(config.get("model_type") or config.get("architectures"))


def _has_endpoint(source: Path) -> bool:
    """Whether the folder brings a handler of its own, as the hub's endpoints run it."""
    path = source / "handler.py"
    return path.is_file() and b"class EndpointHandler" in _head(path, 1 << 20)


def _weights(source: Path, saved: SavedFiles) -> tuple[Path | None, list[Path], list[str]]:
    """The one file of weights, or the parts of sharded ones, and why."""
    for name, index in zip(saved.WEIGHTS, saved.INDEXES, strict=True):
        if name in saved:
            return source / name, [], [f"{name} are the weights"]
        if index in saved:
            names = saved.parts(index)
            parts = [source / one for one in names if one in saved and "/" not in one]
            said = f"{index} and its {len(names)} parts are the weights"
            return None, [source / index, *parts], [said]
    return None, [], []


def _is_packed(path: Path, config: dict[str, Any]) -> bool:
    name = path.name
    if not path.is_file() or _NOT_NEEDED.fullmatch(name) or name in SavedFiles.INDEXES:
        return False
    # Python files run with the user's word alone, and only those that the config names can.
    return path.suffix != ".py" or "auto_map" in config


def _task_of_card(source: Path) -> str | None:
    """The task in the head of the model's card, where its class says another."""
    path = source / _CARD
    if not path.is_file():
        return None
    head = _head(path, _FRONT).decode("utf-8", errors="replace")
    front = re.match(r"---\s*\n(.*?)\n---", head, re.DOTALL)
    found = re.search(r"^pipeline_tag:\s*['\"]?([\w-]+)", front[1], re.MULTILINE) if front else None
    return found[1] if found and found[1] in _ONLY_THE_CARD_SAYS else None


def _head(path: Path, most: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(most)
