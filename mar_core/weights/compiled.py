"""Loading compiled native code."""

from __future__ import annotations

import logging
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.text import first_line
from mar_core.weights.any_batch import AnyBatch
from mar_core.weights.weights_format import require_trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mar_core.weights.weights_format import ModelSource

__all__ = ["load_compiled", "no_advice"]

# Compiled code takes its input's shape on trust unless it is told to look.
_CHECK_INPUTS = "AOTI_RUNTIME_CHECK_INPUTS"
_COMPLAINT = re.compile(r"unmatched dim value at 0, expected: (\d+)")


def load_compiled(source: ModelSource, load: Callable[[ModelSource], Any]) -> AnyBatch:
    """Load compiled native code.

    Args:
        source: The file.
        load: Loads it.

    Raises:
        ModelError: It is not trusted, or was compiled for another device, machine or PyTorch.
    """
    require_trust(source, "native code, which runs when it is loaded")
    os.environ.setdefault(_CHECK_INPUTS, "1")
    try:
        model = load(source)
    except (RuntimeError, OSError, ValueError) as error:
        reason = first_line(error)
        raise ModelError(
            f"{source.name} is compiled code that cannot be loaded here: {reason}.",
            hint="Compile it again with AOTInductor on a machine like this one, with its PyTorch.",
        ) from error
    return AnyBatch(model, complaint=_COMPLAINT)


@contextmanager
def no_advice(name: str) -> Iterator[None]:
    """Keep advice on old files out of the results' way: it is nothing to mend at run time.

    Args:
        name: The logger of torch's that gives it.
    """
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
