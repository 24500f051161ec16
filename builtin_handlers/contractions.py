"""``ts.torch_handler.contractions``: contractions of English, and what they stand for."""

from __future__ import annotations

import re

from builtin_handlers.text_utils import IRREGULAR_CONTRACTIONS, expand_contractions

__all__ = ["CONTRACTIONS_PATTERN", "CONTRACTION_MAP"]

_NEGATED = (
    "are", "could", "did", "do", "does", "had", "has", "have", "is", "might", "must", "need",
    "ought", "should", "was", "were", "would",
)  # fmt: skip
_ENDINGS = {
    "s": {"he", "she", "it", "that", "there", "what", "where", "who", "when", "why", "how"},
    "d": {"I", "he", "she", "it", "that", "there", "they", "we", "you"},
    "ll": {"I", "he", "she", "it", "they", "we", "what", "who", "you", "how"},
    "re": {"they", "we", "what", "you"},
    "ve": {"I", "they", "we", "what", "where", "who", "you", "should", "would", "could", "might"},
    "m": {"I"},
}


def _words() -> list[str]:
    regular = [f"{verb}n't" for verb in _NEGATED]
    regular += [f"{verb}n't've" for verb in _NEGATED if verb in {"could", "would", "should"}]
    regular += [f"{word}'{ending}" for ending, words in _ENDINGS.items() for word in sorted(words)]
    regular += [f"{word}'{end}'ve" for end in ("d", "ll") for word in sorted(_ENDINGS["d"])]
    return [*IRREGULAR_CONTRACTIONS, *regular]


CONTRACTION_MAP = {word: expand_contractions(word) for word in _words()}
CONTRACTIONS_PATTERN = re.compile(f"({'|'.join(CONTRACTION_MAP)})", re.IGNORECASE | re.DOTALL)
