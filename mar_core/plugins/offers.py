"""What plugins offer, looked at when they offer it: a sentence says what is wrong."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.records import Writer

__all__ = ["Offers", "engine_fault", "importer_fault", "reader_fault", "writer_fault"]


class Offers:
    """Takes what plugins give ``register``, each thing with what is wrong with it.

    Args:
        check: Takes what ``register`` is given; says what is wrong with it, or None.

    Attributes:
        pending: What has been offered, and its fault or None; whoever reads it puts a new list.
    """

    def __init__(self, check: Callable[..., str | None]) -> None:
        self._check = check
        self._signature = inspect.signature(check)
        self.pending: list[tuple[tuple[Any, ...], str | None]] = []

    def register(self, *offer: Any) -> None:
        """What a plugin calls."""
        try:
            self._signature.bind(*offer)
        except TypeError:
            fault: str | None = f"{len(offer)} values to register()"
        else:
            fault = self._check(*offer)
        self.pending.append((offer, fault))


def engine_fault(engine: Any, factory: Any, *options: Any) -> str | None:
    """What is wrong with an engine that is offered, or None."""
    from mar_core.records import EngineOption

    if not isinstance(engine, str) or not engine:
        return f"an engine whose name is {engine!r}, not a string"
    if not callable(factory):
        return f"the engine {engine!r} with no callable"
    if not _takes(factory, 0):
        return f"the engine {engine!r} with a callable that needs arguments"
    for option in options:
        if not isinstance(option, EngineOption) or not str(option.name).startswith("--"):
            return f"the engine {engine!r} with an option that is not an EngineOption: {option!r}"
    return None


def importer_fault(what: Any) -> str | None:
    """What is wrong with what a plugin says that it looks for."""
    return None if isinstance(what, str) and what else f"{what!r} for what it looks for"


def reader_fault(reader: Any) -> str | None:
    """What is wrong with a reader that is offered, or None."""
    kind = type(reader).__name__
    missing = [name for name in ("accepts", "read") if not callable(getattr(reader, name, None))]
    if inspect.isclass(reader):
        return f"the class {reader.__name__} as a reader, where an object of it is expected"
    if missing:
        return f"a reader ({kind}) without the method {' and '.join(missing)}"
    if not isinstance(getattr(reader, "name", None), str):
        return f"a reader ({kind}) without a name"
    if not _takes(reader.accepts, 1):
        return f"a reader ({kind}) whose accepts() does not take a source"
    if not _takes(reader.read, 2):
        return f"a reader ({kind}) whose read() does not take a source and options"
    return None


def writer_fault(writer: Any) -> str | None:
    """What is wrong with a writer that is offered, or None."""
    from mar_core.records import Writer

    if inspect.isclass(writer):
        return f"the class {writer.__name__} as a writer, where an object of it is expected"
    kind = type(writer).__name__
    if not isinstance(writer, Writer):
        return f"a writer ({kind}) that is no mar_core.Writer"
    fault = _endings_fault(getattr(writer, "endings", None))
    if fault is not None:
        return f"a writer ({kind}) whose endings are {fault}"
    fault = _writing_fault(writer)
    return None if fault is None else f"a writer ({kind}) {fault}"


def _writing_fault(writer: Writer) -> str | None:
    if not isinstance(getattr(writer, "name", None), str):
        return "without a name"
    if writer.resumes and not writer.streams:
        return "that resumes and does not stream"
    if not _takes(writer.write, 3):
        return "whose write() does not take rows, a stream and options"
    return None


def _endings_fault(endings: Any) -> str | None:
    words = isinstance(endings, (tuple, list)) and all(isinstance(one, str) for one in endings)
    if not words or not endings or not all(one.startswith(".") for one in endings):
        return f"{endings!r}, not such as ('.xml',)"
    if any(one != one.lower() for one in endings):
        return f"{endings!r}, not in lower case"
    return None


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a function of C, which does not say
        return True
    return True
