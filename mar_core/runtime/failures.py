"""From whatever a handler raised to the sentence that its input gets."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from mar_core.errors import HandlerError, InputError, MarError
from mar_core.records import Failure

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "OUT_OF_RESOURCES",
    "failure_of",
    "free_device_memory",
    "is_out_of_memory",
    "own_lines",
    "text_of",
]

BAD_INPUT = 400
NO_PREDICTION = 503
OUT_OF_RESOURCES = 507
# Frames of ours between the caller and the handler: nobody wants to see them.
_PLUMBING = (str(Path(__file__).parents[1]), str(Path(pluggy.__file__).parent))
_MEMORY_HINT = "Try a smaller --batch-size, smaller inputs or another --device."


def failure_of(error: BaseException, stage: str) -> Failure:
    """Say what went wrong with one input.

    Args:
        error: What was raised.
        stage: Where.

    Returns:
        The failure: a ``PredictionException`` keeps its code and message, a lack of memory says
        what to try, everything else says where in the handler it happened.
    """
    code = _code(error, stage)
    return Failure(
        stage=error.stage if isinstance(error, HandlerError) else stage,
        type=type(error).__name__,
        message=_sentence(error),
        code=code,
        traceback=own_lines(error),
        public=_public(error, code),
    )


def text_of(error: BaseException) -> str:
    """What an exception says; its ``__str__`` is the handler's, and may raise anything."""
    try:
        return str(error)
    except BaseException as fault:  # noqa: BLE001 - one item must never end a run
        return f"no message: its __str__ raised {type(fault).__name__}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help: no memory left, in RAM or on the device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = text_of(error)
    return "out of memory" in text or "can't allocate memory" in text


def _code(error: BaseException, stage: str) -> int:
    if _has_own_code(error):
        return int(error.error_code)  # type: ignore[attr-defined]
    if is_out_of_memory(error) or (not isinstance(error, MarError) and "CUDA" in text_of(error)):
        return OUT_OF_RESOURCES
    if isinstance(error, InputError) or stage == "read":
        return BAD_INPUT
    return error.code if isinstance(error, HandlerError) else NO_PREDICTION


def _has_own_code(error: BaseException) -> bool:
    """Whether it is a PredictionException, ours or TorchServe's."""
    return isinstance(getattr(error, "error_code", None), int)


def _public(error: BaseException, code: int) -> str:
    if _has_own_code(error):
        return _sentence(error)
    if isinstance(error, HandlerError) and error.public:
        return error.public
    if isinstance(error, InputError):
        return str(error)
    return "Out of resources" if code == OUT_OF_RESOURCES else "Prediction failed"


def _sentence(error: BaseException) -> str:
    if isinstance(error, MarError):
        return str(error)
    if _has_own_code(error):
        message = getattr(error, "message", None)
        return message if isinstance(message, str) else text_of(error)
    text = " ".join(text_of(error).split())
    if isinstance(error, SystemExit):
        text = f"The handler called sys.exit({text or ''})"
    elif is_out_of_memory(error):
        return f"{text or 'Out of memory'}. {_MEMORY_HINT}"
    where = _where(error)
    return f"{text} ({where})" if text and where else text or where or type(error).__name__


def _where(error: BaseException) -> str:
    """The innermost line of the handler's own files."""
    frames = traceback.extract_tb(_handler_part(error.__traceback__))
    if not frames:
        return ""
    home = str(Path(frames[0].filename).parent)
    own = [frame for frame in frames if str(Path(frame.filename).parent).startswith(home)]
    last = own[-1]
    return f"{Path(last.filename).name}, line {last.lineno}, in {last.name}"


def own_lines(error: BaseException) -> str:
    """The traceback from the handler's first line on; empty where it says nothing."""
    if isinstance(error, InputError):
        return ""
    try:
        lines = traceback.format_exception(
            type(error), error, _handler_part(error.__traceback__), chain=True
        )
    except BaseException:  # noqa: BLE001 - it calls the handler's own code, such as __str__
        return ""
    return "".join(lines)


def _handler_part(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the handler's first line on."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PLUMBING):
        trace = trace.tb_next
    return trace


def free_device_memory() -> None:
    """Give cached device memory back after an out-of-memory error, so that a smaller try fits."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
