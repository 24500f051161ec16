"""Plain-text cleaning and splitting, as models for English text are trained with."""

from __future__ import annotations

import re
import string
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "IRREGULAR_CONTRACTIONS",
    "expand_contractions",
    "get_tokenizer",
    "ngram_spans",
    "ngrams_iterator",
    "remove_accented_characters",
    "remove_html_tags",
    "remove_punctuation",
]

_MARKUP = re.compile(r"<.*?>|&([a-z0-9]+|#[0-9]{1,6}|#x[0-9a-f]{1,6});")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

# Contractions that follow no rule, then the endings that do, in the order to undo them.
IRREGULAR_CONTRACTIONS = {
    "ain't": "is not", "can't": "cannot", "can't've": "cannot have", "'cause": "because",
    "how'd'y": "how do you", "let's": "let us", "ma'am": "madam", "o'clock": "of the clock",
    "sha'n't": "shall not", "shan't": "shall not", "shan't've": "shall not have",
    "so's": "so as", "where'd": "where did", "how'd": "how did", "won't": "will not",
    "won't've": "will not have", "y'all": "you all",
}  # fmt: skip
_ENDINGS = (
    (re.compile(r"n't(?=\b)", re.IGNORECASE), " not"),
    (re.compile(r"'ve\b", re.IGNORECASE), " have"),
    (re.compile(r"'ll\b", re.IGNORECASE), " will"),
    (re.compile(r"'re\b", re.IGNORECASE), " are"),
    (re.compile(r"'m\b", re.IGNORECASE), " am"),
    (re.compile(r"'d\b", re.IGNORECASE), " would"),
    (
        re.compile(r"\b(he|she|it|that|there|what|when|where|who|why|how)'s\b", re.IGNORECASE),
        r"\1 is",
    ),
)
_IRREGULAR_PATTERN = re.compile(
    "|".join(
        rf"(?<!\w){re.escape(word)}(?!\w)"
        for word in sorted(IRREGULAR_CONTRACTIONS, key=len, reverse=True)
    ),
    re.IGNORECASE,
)

# What becomes a token of its own, and what becomes nothing.
_BASIC_ENGLISH = (
    (re.compile(r"<br />|[;:]"), " "),
    (re.compile(r'"'), ""),
    (re.compile(r"(['.,()!?])"), r" \1 "),
)


def remove_html_tags(text: str) -> str:
    """The text without the tags and the entities of HTML."""
    return _MARKUP.sub("", text)


def remove_accented_characters(text: str) -> str:
    """The text in ASCII: accents are taken off, what has no such form is left out."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


def remove_punctuation(text: str) -> str:
    """The text without ASCII punctuation."""
    return text.translate(_PUNCTUATION)


def expand_contractions(text: str) -> str:
    """The text with "don't" as "do not" and the like; other apostrophes are left out."""
    text = _IRREGULAR_PATTERN.sub(_expand_irregular, text)
    for pattern, replacement in _ENDINGS:
        text = pattern.sub(replacement, text)
    return text.replace("'", "")


def get_tokenizer(name: str | Callable[[str], list[str]] | None) -> Callable[[str], list[str]]:
    """A function from a text to its tokens.

    Args:
        name: ``basic_english``; None, to split at white space; or the function itself.

    Raises:
        ValueError: There is no tokenizer of that name.
    """
    if callable(name):
        return name
    if name is None:
        return str.split
    if name == "basic_english":
        return _basic_english
    raise ValueError(f"there is no tokenizer {name!r}; use basic_english, or a tokenizer.json file")


def ngrams_iterator(tokens: Iterable[str], ngrams: int) -> Iterator[str]:
    """The tokens, then every run of two of them joined by a space, of three, up to ``ngrams``."""
    tokens = list(tokens)
    for start, length in ngram_spans(len(tokens), ngrams):
        yield " ".join(tokens[start : start + length])


def ngram_spans(count: int, ngrams: int) -> Iterator[tuple[int, int]]:
    """Where each run that ``ngrams_iterator`` gives begins, and how many tokens long it is."""
    for length in range(1, ngrams + 1):
        for start in range(count - length + 1):
            yield start, length


def _basic_english(text: str) -> list[str]:
    text = text.lower()
    for pattern, replacement in _BASIC_ENGLISH:
        text = pattern.sub(replacement, text)
    return text.split()


def _expand_irregular(match: re.Match[str]) -> str:
    found = match.group(0)
    expanded = IRREGULAR_CONTRACTIONS[found.lower()]
    return expanded.capitalize() if found[0].isupper() else expanded
