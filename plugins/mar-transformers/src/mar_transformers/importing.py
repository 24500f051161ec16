"""``mar archive --from FOLDER``: what `save_pretrained` saved, or a snapshot of the hub's.

The archive's root is the folder: every file keeps its name, and safetensors stay what they are. A
single file of weights is the archive's weights; the parts of sharded ones lie beside their index.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mar_core import Imported
from mar_transformers.files import ADAPTER, CONFIG, INDEXES, LARGEST, WEIGHTS, read_json

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
    if not source.is_dir() or not _is_ours(source):
        return None
    weights, parts, reasons = _weights(source)
    files = [path for path in sorted(source.iterdir()) if _is_packed(path, source)]
    left = [path.name for path in sorted(source.iterdir()) if path not in {*files, weights, *parts}]
    if left:
        reasons.append(f"not packed, for it is not needed: {', '.join(left)}")
    config_file = None
    task = _task_of_card(source)
    if task is not None:
        config_file = folder / "model-config.yaml"
        config_file.write_text(f"handler: {{task: {task}}}\n", encoding="utf-8")
        reasons.append(f"{task} is what {_CARD} says that it is for")
    what = _read(source, CONFIG).get("model_type") or "an adapter"
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


def _is_ours(source: Path) -> bool:
    if any((source / name).exists() for name in _ELSEWHERE) or _has_endpoint(source):
        return False
    if not (source / CONFIG).is_file():
        return (source / ADAPTER).is_file()
    config = _read(source, CONFIG)
    if "pretrained_cfg" in config and "model_type" not in config:  # timm's
        return False
    return bool(config.get("model_type") or config.get("architectures"))


def _has_endpoint(source: Path) -> bool:
    """Whether the folder brings a handler of its own, as the hub's endpoints run it."""
    path = source / "handler.py"
    return path.is_file() and b"class EndpointHandler" in _head(path, 1 << 20)


def _weights(source: Path) -> tuple[Path | None, list[Path], list[str]]:
    """The one file of weights, or the parts of sharded ones, and why."""
    for name, index in zip(WEIGHTS, INDEXES, strict=True):
        if (source / name).is_file():
            return source / name, [], [f"{name} are the weights"]
        if (source / index).is_file():
            named = _read(source, index).get("weight_map")
            names = sorted({str(one) for one in named.values()}) if isinstance(named, dict) else []
            parts = [source / one for one in names if (source / one).is_file() and "/" not in one]
            said = f"{index} and its {len(names)} parts are the weights"
            return None, [source / index, *parts], [said]
    return None, [], []


def _is_packed(path: Path, source: Path) -> bool:
    if not path.is_file() or _NOT_NEEDED.fullmatch(path.name) or path.name in INDEXES:
        return False
    # Python files run with the user's word alone, and only those that the config names can.
    return path.suffix != ".py" or "auto_map" in _read(source, CONFIG)


def _task_of_card(source: Path) -> str | None:
    """The task in the head of the model's card, where its class says another."""
    path = source / _CARD
    if not path.is_file():
        return None
    head = _head(path, _FRONT).decode("utf-8", errors="replace")
    front = re.match(r"---\s*\n(.*?)\n---", head, re.DOTALL)
    found = re.search(r"^pipeline_tag:\s*['\"]?([\w-]+)", front[1], re.MULTILINE) if front else None
    return found[1] if found and found[1] in _ONLY_THE_CARD_SAYS else None


def _read(source: Path, name: str) -> dict[str, Any]:
    path = source / name
    return read_json(lambda _: _head(path, LARGEST), name) if path.is_file() else {}


def _head(path: Path, most: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(most)
