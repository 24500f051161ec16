"""What holds no weights: nothing at all, text, and what no other format knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile

__all__ = ["EMPTY", "TEXT", "UNKNOWN"]


def _is_empty(file: WeightsFile) -> bool:
    return not file.size


def _is_text(file: WeightsFile) -> bool:
    head = file.head
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(char.isprintable() or char in "\r\n\t" for char in text)


def _is_anything(_: WeightsFile) -> bool:
    return True


EMPTY = WeightsFormat(
    name="empty",
    title="empty",
    trust=Trust.DATA,
    identify=_is_empty,
    hint="Make it again.",
    rank=0,
)
TEXT = WeightsFormat(
    name="text",
    title="text, not weights",
    trust=Trust.DATA,
    identify=_is_text,
    hint="If it came from a git repository, fetch the real file with `git lfs pull`.",
    rank=90,
)
UNKNOWN = WeightsFormat(
    name="unknown",
    title="in no format that mar or an installed plugin knows",
    trust=Trust.DATA,
    identify=_is_anything,
    hint="Give a state dict, safetensors, TorchScript or torch.export file, or install the plugin "
    "for its format.",
    rank=100,
)
