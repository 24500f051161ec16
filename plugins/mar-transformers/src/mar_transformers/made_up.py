"""Weights that are not there, and that transformers would make up: a head of random numbers."""

from __future__ import annotations

import logging
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mar_core import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_transformers.tasks import Task

__all__ = ["refusing_made_up_heads"]

logger = logging.getLogger(__name__)

# A row of the report that transformers logs when it has loaded weights.
_ROW = re.compile(r"^(\S+)\s*\|\s*MISSING\b", re.MULTILINE)
# What answers: without it every answer is chance. Other parts that miss may not matter to the task,
# such as the pooler of a model whose tokens are wanted.
_HEADS = frozenset({
    "bbox_predictor", "class_labels_classifier", "class_predictor", "classification_head",
    "classifier", "cls", "decode_head", "head", "lm_head", "pre_classifier", "projector",
    "qa_outputs", "score",
})  # fmt: skip


@contextmanager
def refusing_made_up_heads(task: Task) -> Iterator[None]:
    """Refuse a model that is loaded within, if its weights lack the part that answers.

    What transformers says meanwhile would stand above the results of a run: it goes to the log of
    this module, unless the user has asked for it by ``TRANSFORMERS_VERBOSITY``.

    Raises:
        ModelError: They do.
    """
    listener = _Listener(level=logging.WARNING)
    library = logging.getLogger("transformers")
    level, handlers, propagates = library.level, library.handlers[:], library.propagate
    if "TRANSFORMERS_VERBOSITY" in os.environ:
        library.addHandler(listener)
    else:
        library.handlers, library.propagate = [listener], False
    library.setLevel(logging.WARNING)  # below which it makes no report
    try:
        yield
    finally:
        library.setLevel(level)
        library.handlers, library.propagate = handlers, propagates
    if listener.missing:
        first, *others = sorted(set(listener.missing))
        listed = f"{first} and {len(others)} more" if others else first
        raise ModelError(
            f"The weights have no {listed}, without which {task.name} is chance.",
            hint="The model was trained for something else: say what in model-config.yaml, "
            "`handler: {task: …}`, or save the model that was trained for this.",
        )


class _Listener(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.missing: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        logger.info("%s", record.getMessage())
        names = _ROW.findall(record.getMessage())
        self.missing += [name for name in names if name.partition(".")[0] in _HEADS]
