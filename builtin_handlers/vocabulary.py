"""Vocabularies: JSON, plain text, a ``tokenizers`` file, or ``source_vocab.pt``."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from builtin_handlers.pickled_vocabulary import numbers_of, read_pickled
from mar_core import ModelError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TokenizerFile", "Vocabulary", "read_vocabulary"]

UNKNOWN = ("<unk>", "[UNK]", "<UNK>", "UNK", "unk")
PADDING = ("<pad>", "[PAD]", "<PAD>", "PAD", "pad")


class Vocabulary(Mapping[str, int]):
    """Numbers for tokens, with the names of torchtext's ``Vocab`` that handlers call.

    ``vocabulary[token]`` gives an unknown token the number of unknown ones, where they have one. As
    with a ``Counter``, ``token in vocabulary`` and ``get`` tell known tokens from unknown ones.

    Args:
        numbers: The number of each token.
        unknown: The number of every other one; by default that of ``<unk>``, where there is one.
        padding: The number that fills short texts up; by default that of ``<pad>``, else 0.
    """

    def __init__(
        self, numbers: Mapping[str, int], *, unknown: int | None = None, padding: int | None = None
    ) -> None:
        self._numbers = dict(numbers)
        self.unknown = _first(self._numbers, UNKNOWN) if unknown is None else unknown
        self.padding = (_first(self._numbers, PADDING) or 0) if padding is None else padding

    def __getitem__(self, token: str) -> int:
        number = self._numbers.get(token, self.unknown)
        if number is None:
            raise KeyError(token)
        return number

    def __contains__(self, token: object) -> bool:
        return token in self._numbers

    def get(self, token: str, default: Any = None) -> Any:
        """The number of a known token, else the default."""
        return self._numbers.get(token, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def knows(self, token: str) -> bool:
        """Whether a token has a number; each has where unknown ones share one."""
        return self.unknown is not None or token in self._numbers

    @property
    def stoi(self) -> Vocabulary:
        """The vocabulary itself: torchtext's number of each token."""
        return self

    @property
    def itos(self) -> list[str]:
        """The tokens by their numbers."""
        return sorted(self._numbers, key=self._numbers.__getitem__)

    def get_stoi(self) -> dict[str, int]:
        """The number of each token."""
        return dict(self._numbers)

    def get_itos(self) -> list[str]:
        """The tokens by their numbers."""
        return self.itos

    def get_default_index(self) -> int | None:
        """The number of unknown tokens, or None."""
        return self.unknown

    def set_default_index(self, index: int | None) -> None:
        """Give unknown tokens a number."""
        self.unknown = index

    def lookup_indices(self, tokens: Iterable[str]) -> list[int]:
        """The numbers of tokens."""
        return [self[token] for token in tokens]

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        """The numbers of tokens."""
        return self.lookup_indices(tokens)


class TokenizerFile:
    """A tokenizer that the ``tokenizers`` library saved, normalisation and vocabulary included.

    Args:
        path: The file, as a rule ``tokenizer.json``.

    Raises:
        ModelError: The library is not installed, or cannot read the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise ModelError(
                f"{path.name} needs the tokenizers library.",
                hint="Install it: `pip install 'mar-core[text]'`.",
            ) from error
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises Exception itself
            raise ModelError(f"{path.name} is no tokenizers file: {error}.") from error
        self._tokenizer.no_padding()  # batches are filled up here, and only as far as needed
        self.vocabulary = Vocabulary(self._tokenizer.get_vocab())

    def __call__(self, text: str) -> list[str]:
        """The tokens of a text."""
        return self.encode(text)[0]

    def encode(self, text: str) -> tuple[list[str], list[int]]:
        """The tokens of a text, and their numbers."""
        encoding = self._tokenizer.encode(text)
        return encoding.tokens, encoding.ids


def read_vocabulary(path: Path, *, allow_pickle: bool = False) -> Any:
    """Read a vocabulary, by what the file holds.

    Args:
        path: ``.json``: ``{token: number}``, a list of tokens, or a tokenizers file; what torch
            saved: the same but the last, a ``Counter``, a ``defaultdict`` or torchtext's ``Vocab``;
            else text with one token a line, the first being 0.
        allow_pickle: Load anything else that torch saved as it is: code in it runs.

    Returns:
        A ``TokenizerFile``, a ``Vocabulary``, or the object that was trusted.

    Raises:
        ModelError: The file holds no vocabulary, or one that is not safe to load.
    """
    if path.suffix == ".json":
        return _read_json(path)
    if _is_of_torch(path):
        return _read_torch(path, allow_pickle=allow_pickle)
    try:
        return _wrap(path.read_text(encoding="utf-8").splitlines(), path)
    except UnicodeDecodeError as error:
        raise ModelError(f"{path.name} is not UTF-8 text (byte {error.start}).") from error


def _is_of_torch(path: Path) -> bool:
    """Whether torch wrote a file: by its ending, or as a zip or a pickle under any other."""
    with path.open("rb") as stream:
        head = stream.read(4)
    return path.suffix in {".pt", ".pth", ".bin"} or head.startswith((b"PK\x03\x04", b"\x80\x02"))


def _read_json(path: Path) -> TokenizerFile | Vocabulary:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path.name} is not JSON: {error}.") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        return TokenizerFile(path)
    return _wrap(content, path)


def _read_torch(path: Path, *, allow_pickle: bool) -> Any:
    """What torch saved: data, or what a vocabulary is made of, or anything that is trusted."""
    try:
        return _wrap(torch.load(path, map_location="cpu", weights_only=True), path)
    except ModelError:
        raise
    except pickle.UnpicklingError:
        pass
    except Exception as error:  # torch's reader raises what it likes where a file is damaged
        raise _unreadable(path, error) from error
    try:
        return _wrap(read_pickled(path), path)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        if allow_pickle:
            return _load_trusted(path)
        raise ModelError(
            f"{path.name} is no vocabulary that can be read as data: {error}.",
            hint="Where it was made, write it as plain JSON: `json.dump(vocab.get_stoi(), "
            'open("source_vocab.json", "w"))`; or trust it with --allow-pickle.',
        ) from error
    except Exception as error:  # inert parts that do not fit together raise what they like
        raise _unreadable(path, error) from error


def _load_trusted(path: Path) -> Any:
    """Any object that torch saved; its code runs, on the user's word: ``--allow-pickle``."""
    content = torch.load(path, map_location="cpu", weights_only=False)
    if not hasattr(content, "__getitem__"):
        raise _no_vocabulary(path)
    return content


def _unreadable(path: Path, error: Exception) -> ModelError:
    lines = str(error).splitlines() or [type(error).__name__]
    return ModelError(f"{path.name} cannot be read: {lines[0]}.")


def _wrap(content: Any, path: Path) -> Vocabulary:
    numbers, unknown = numbers_of(content)
    if unknown is not None and type(unknown) is not int:
        raise _no_vocabulary(path)
    if isinstance(numbers, list) and all(isinstance(token, str) for token in numbers):
        return Vocabulary({token: at for at, token in enumerate(numbers)}, unknown=unknown)
    if isinstance(numbers, Mapping) and all(
        isinstance(token, str) and type(number) is int for token, number in numbers.items()
    ):
        return Vocabulary(numbers, unknown=unknown)
    raise _no_vocabulary(path)


def _no_vocabulary(path: Path) -> ModelError:
    return ModelError(
        f"{path.name} holds no vocabulary.",
        hint='It must be {"token": number, …}, or a list of tokens.',
    )


def _first(numbers: Mapping[str, int], names: Iterable[str]) -> int | None:
    return next((numbers[name] for name in names if name in numbers), None)
