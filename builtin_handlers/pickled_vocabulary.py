"""Vocabularies that torch saved as more than a dict, read as data: no code of theirs runs.

torchtext's ``Vocab`` in its three shapes, a ``Counter`` and a ``defaultdict``. A pickle names what
it is made of; here each name that a vocabulary needs is met by something inert, and any other name
is refused, so that neither torchtext nor trust is needed.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter, OrderedDict
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["numbers_of", "read_pickled"]

# Before the object itself, torch's old format has a number, its version, and facts of the machine.
_LEGACY_HEAD = 3
_TORCHTEXT_UNKNOWN = "<unk>"


class _Vocab:
    """Stands for a class of torchtext's: keeps the state that was saved, and has no behaviour."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Defaulted(dict[Any, Any]):
    """Stands for ``collections.defaultdict``; its factory is one of those below, or None."""

    def __init__(self, factory: Any = None, *items: Any) -> None:
        super().__init__(*items)
        self.unknown = None if factory is None else factory()


def _zero() -> int:
    """Stands for ``int`` as a factory, and for the function of torchtext before 0.4."""
    return 0


def _nothing(*_: Any) -> None:
    """Stands for what makes tensors: the vectors of words are not part of a vocabulary."""


_NAMES: Mapping[tuple[str, str], Any] = {
    ("collections", "Counter"): Counter,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): _Defaulted,
    ("builtins", "int"): _zero,
    ("__builtin__", "int"): _zero,
    ("__builtin__", "long"): _zero,  # what Python writes for int where Python 2 is to read it
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("torchtext.vocab", "_default_unk_index"): _zero,
    ("torchtext.vocab", "Vocab"): _Vocab,
    ("torchtext.legacy.vocab", "Vocab"): _Vocab,
    ("torchtext.vocab.vocab", "Vocab"): _Vocab,
    ("torchtext._torchtext", "Vocab"): _Vocab,
    ("torch._utils", "_rebuild_tensor_v2"): _nothing,
    ("torch", "FloatStorage"): _nothing,
}


class _Reader(pickle.Unpickler):
    """Unpickles what is made of the names above alone."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it is made with {module}.{name}") from None

    def persistent_load(self, _: Any) -> None:
        """A tensor's bytes stay where they are."""


def read_pickled(path: Path) -> Any:
    """The object in a file that ``torch.save`` wrote, made of inert parts.

    Args:
        path: The file, in torch's format of today or that before 1.6.

    Raises:
        pickle.UnpicklingError: It is made with something that no vocabulary needs.
        OSError, ValueError, EOFError, zipfile.BadZipFile: It cannot be read.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(names) != 1:
                raise pickle.UnpicklingError("it has no data.pkl")
            with archive.open(names[0]) as stream:
                return _Reader(stream).load()
    with path.open("rb") as stream:
        return _legacy(stream)


def _legacy(stream: IO[bytes]) -> Any:
    for _ in range(_LEGACY_HEAD):
        _Reader(stream).load()
    return _Reader(stream).load()


def numbers_of(content: Any) -> tuple[Any, int | None]:
    """What a vocabulary says of each token, and of every other one.

    Args:
        content: What was saved.

    Returns:
        The tokens with their numbers, or in the order of their numbers; and the number of unknown
        ones, as ``content[token]`` gives it where it is not the number of ``<unk>``, or None.
    """
    if isinstance(content, _Vocab):
        return _of_torchtext(content)
    if isinstance(content, Counter):
        return content, 0
    if isinstance(content, _Defaulted):
        return content, content.unknown
    return content, None


def _of_torchtext(vocab: _Vocab) -> tuple[Any, int | None]:
    """A vocabulary of torchtext's; None in place of numbers where its shape is another."""
    state = vocab.state
    if isinstance(state, dict) and isinstance(state.get("vocab"), _Vocab):  # from 0.10 on
        state = state["vocab"].state
    match state:
        case (str(), [*default], [*tokens], [*_]):  # of the C++ class: version, numbers, words
            return tokens, default[0] if default else None
        case {"stoi": dict() as numbers}:  # before 0.10
            return numbers, numbers.get(_TORCHTEXT_UNKNOWN)
        case _:
            return None, None
