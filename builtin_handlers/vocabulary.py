"""Vocabularies: JSON, plain text, a ``tokenizers`` file, or ``source_vocab.pt``."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from mar_core import ModelError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TokenizerFile", "Vocabulary", "read_vocabulary"]

UNKNOWN = ("<unk>", "[UNK]", "<UNK>", "UNK", "unk")
PADDING = ("<pad>", "[PAD]", "<PAD>", "PAD", "pad")


class Vocabulary(Mapping[str, int]):
    """Numbers for tokens.

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

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def knows(self, token: str) -> bool:
        """Whether a token has a number; each has where unknown ones share one."""
        return self.unknown is not None or token in self._numbers


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


def read_vocabulary(path: Path) -> TokenizerFile | Vocabulary:
    """Read a vocabulary, by what the file holds.

    Args:
        path: ``.json``: ``{token: number}``, a list of tokens, or a tokenizers file; ``.pt``: the
            same but the last, saved by torch; else text with one token a line, the first being 0.

    Returns:
        A ``TokenizerFile`` or a ``Vocabulary``.

    Raises:
        ModelError: The file holds no vocabulary, or one that is not safe to load.
    """
    if path.suffix == ".json":
        return _read_json(path)
    if path.suffix in {".pt", ".pth", ".bin"}:
        return _wrap(_read_torch(path), path)
    try:
        return _wrap(path.read_text(encoding="utf-8").splitlines(), path)
    except UnicodeDecodeError as error:
        raise ModelError(f"{path.name} is not UTF-8 text (byte {error.start}).") from error


def _read_json(path: Path) -> TokenizerFile | Vocabulary:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path.name} is not JSON: {error}.") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        return TokenizerFile(path)
    return _wrap(content, path)


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds an object that can run code when loaded, such as torchtext's "
            "Vocab.",
            hint="Where it was made, write it as plain JSON: `json.dump(vocab.get_stoi(), "
            'open("source_vocab.json", "w"))`.',
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise ModelError(f"{path.name} cannot be read: {str(error).splitlines()[0]}.") from error


def _wrap(content: Any, path: Path) -> Vocabulary:
    if isinstance(content, list) and all(isinstance(token, str) for token in content):
        return Vocabulary({token: number for number, token in enumerate(content)})
    if isinstance(content, Mapping) and all(
        isinstance(token, str) and type(number) is int for token, number in content.items()
    ):
        return Vocabulary(content)
    raise ModelError(
        f"{path.name} holds no vocabulary.",
        hint='It must be {"token": number, …}, or a list of tokens.',
    )


def _first(numbers: Mapping[str, int], names: Iterable[str]) -> int | None:
    return next((numbers[name] for name in names if name in numbers), None)
