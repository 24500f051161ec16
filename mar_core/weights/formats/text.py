"""Nothing but text, such as a git-lfs pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile

__all__ = ["FORMAT"]


def _identify(file: WeightsFile) -> bool:
    head = file.head
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(char.isprintable() or char in "\r\n\t" for char in text)


FORMAT = WeightsFormat(
    name="text",
    title="text, not weights",
    trust=Trust.DATA,
    identify=_identify,
    hint="If it came from a git repository, fetch the real file with `git lfs pull`.",
    rank=90,
)
