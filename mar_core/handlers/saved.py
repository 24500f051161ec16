"""Models as libraries save them: the files, looked at and not loaded, and loading without a hub.

Hugging Face's libraries agree on how weights and tokenizers are called. No archive asks their hub:
what is not in the archive is an error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from mar_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mar_core.format.view import Archive

__all__ = ["SavedFiles", "hub_offline", "keep_hub_offline"]

# Libraries read the variable once, when they import huggingface_hub; from then on its constant
# counts.
_VARIABLE = "HF_HUB_OFFLINE"
_lock = threading.Lock()


class SavedFiles:
    """The files of a model as a library saved it.

    Args:
        has: Whether there is a file, by its name.
        read: At most so many bytes of one.

    Attributes:
        WEIGHTS: What one file of weights is called; the first is there as a rule.
        INDEXES: What the index of weights in several parts is called.
        TOKENIZERS: One of these is there where a model reads text.
    """

    WEIGHTS: ClassVar = ("model.safetensors", "pytorch_model.bin")
    INDEXES: ClassVar = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
    TOKENIZERS: ClassVar = (
        "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model",
        "tokenizer.model", "sentencepiece.bpe.model", "source.spm", "tekken.json", "bpe.codes",
        "vocab.bpe",
    )  # fmt: skip
    LARGEST: ClassVar = 64 << 20

    def __init__(self, has: Callable[[str], bool], read: Callable[[str, int], bytes]) -> None:
        self._has = has
        self._read = read

    @classmethod
    def in_folder(cls, folder: Path) -> SavedFiles:
        """The files of a folder.

        Args:
            folder: The folder.
        """

        def read(name: str, most: int) -> bytes:
            with (folder / name).open("rb") as stream:
                return stream.read(most)

        return cls(lambda name: (folder / name).is_file(), read)

    @classmethod
    def in_archive(cls, archive: Archive) -> SavedFiles:
        """The members of an archive that is not unpacked.

        Args:
            archive: The archive, open.
        """

        def read(name: str, most: int) -> bytes:
            # One that is larger is refused unread.
            return archive.read(name) if archive.members[name].size < most else b" " * most

        return cls(lambda name: name in archive.members, read)

    def __contains__(self, name: str) -> bool:
        """Whether there is a file of that name below here; none outside is looked at."""
        path = PurePosixPath(name)
        inside = not path.is_absolute() and ".." not in path.parts and "\0" not in name
        return bool(name) and inside and self._has(name)

    def first(self, names: Iterable[str]) -> str | None:
        """The first of several files that is there; None where none is.

        Args:
            names: Their names.
        """
        return next((name for name in names if name in self), None)

    def parsed(self, name: str) -> Any:
        """What a file of JSON holds.

        Args:
            name: The file's name; it has to be there.

        Raises:
            ModelError: It is no JSON, or larger than any that describes a model.
        """
        raw = self._read(name, self.LARGEST + 1)
        if len(raw) > self.LARGEST:
            raise ModelError(f"{name} has more than {self.LARGEST:,} bytes.")
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as error:
            reason = str(error) or type(error).__name__
            raise ModelError(f"{name} is not valid JSON: {reason}.") from error

    def json(self, name: str) -> dict[str, Any]:
        """The JSON object that a file holds.

        Args:
            name: The file's name; it has to be there.

        Raises:
            ModelError: It holds none, or is larger than any that describes a model.
        """
        found = self.parsed(name)
        if not isinstance(found, dict):
            raise ModelError(f"{name} holds no JSON object.")
        return found

    @property
    def weights(self) -> str | None:
        """The one file of weights, safetensors first; None where there is none."""
        return self.first(self.WEIGHTS)

    @property
    def index(self) -> str | None:
        """The index of weights in several parts, safetensors first; None where there is none."""
        return self.first(self.INDEXES)

    def parts(self, index: str) -> tuple[str, ...]:
        """The parts that an index names, whether they are there or not.

        Args:
            index: The index.

        Raises:
            ModelError: It does not say where the weights are.
        """
        named = self.json(index).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise ModelError(f"{index} does not say where the weights are.")
        return tuple(sorted({str(part) for part in named.values()}))


@contextmanager
def hub_offline() -> Iterator[None]:
    """Load a model without asking Hugging Face's hub, whatever a config names.

    Import the library inside. Whoever loads an archive in a process of their own gets the hub back
    afterwards. One thread at a time.

    Example:
        >>> with hub_offline():
        ...     import timm
        ...
        ...     model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    """
    with _lock:
        before, offline = os.environ.get(_VARIABLE), _is_offline()
        _switch_off()
        try:
            yield
        finally:
            constants = _constants()
            if constants is not None:  # also where it was imported inside
                constants.HF_HUB_OFFLINE = offline
            if before is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = before


def keep_hub_offline() -> None:
    """Never ask Hugging Face's hub in this process again, for models that would do so at work."""
    with _lock:
        _switch_off()


def _switch_off() -> None:
    os.environ[_VARIABLE] = "1"
    constants = _constants()
    if constants is not None:
        constants.HF_HUB_OFFLINE = True


def _is_offline() -> bool:
    """Whether huggingface_hub is offline, or would be if it were imported now."""
    constants = _constants()
    if constants is not None:
        return bool(constants.HF_HUB_OFFLINE)
    said = os.environ.get(_VARIABLE) or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}


def _constants() -> Any:
    return sys.modules.get("huggingface_hub.constants")
