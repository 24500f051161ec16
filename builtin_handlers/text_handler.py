"""``text_handler``: texts in, the model's output as lists out; the base of those for text."""

from __future__ import annotations

from abc import ABC
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from builtin_handlers import text_utils
from builtin_handlers.checks import VOCABULARY_FILES
from builtin_handlers.options import VOCABULARY, options_of
from builtin_handlers.requests import target_of
from builtin_handlers.text_batch import TextBatch, run_model
from builtin_handlers.text_explain import attributions, layer_gradients_of, spread
from builtin_handlers.vocabulary import TokenizerFile, Vocabulary, read_vocabulary
from mar_core import BaseHandler, ModelError, as_text, each_item, handler_options, payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mar_core import Context

__all__ = ["TextHandler"]


class TextHandler(BaseHandler, ABC):
    """Reads texts and gives the model their tokens' numbers.

    With a ``tokenizer.json`` the tokenizer does all of it. Without one a text is freed of HTML,
    lower-cased, its contractions expanded, its accents and punctuation taken off, and split; its
    words and their n-grams are looked up in the vocabulary.

    Attributes:
        ngrams: The longest run of words that is looked up as one.
        source_vocab: Numbers for tokens.
        tokenizer: Turns a text into tokens.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
        "inputs": [{"name": "data", "type": "string", "description": "A text."}]
    }
    stages_independent = True
    reads_by_context = True
    bucket_by_length = True
    ngrams = 1

    def __init__(self) -> None:
        super().__init__()
        self.source_vocab: Any = None
        self.tokenizer: Any = text_utils.get_tokenizer("basic_english")
        self.input_text: Any = None
        self.lig: Any = None

    def initialize(self, context: Context) -> None:
        """Load the model and the vocabulary.

        Raises:
            ModelError: The archive has no vocabulary, or one that cannot be read.
        """
        options_of(self, context.model_yaml_config)  # raises where one is not what it may be
        super().initialize(context)
        self.initialized = False
        path = Path(self.get_source_vocab_path(context))
        trusted = context.system_properties.get("allow_pickle") is True
        vocabulary = read_vocabulary(path, allow_pickle=trusted)
        if isinstance(vocabulary, TokenizerFile):
            self.tokenizer, vocabulary = vocabulary, vocabulary.vocabulary
        self.source_vocab = vocabulary
        self.initialized = True

    def get_source_vocab_path(self, ctx: Context) -> str:
        """The vocabulary's file.

        It is the one that ``handler.vocabulary`` in model-config.yaml names, or the manifest's
        ``sourceVocab``, or the first of the usual names that is there.

        Raises:
            ModelError: There is none.
        """
        files = getattr(ctx, "files", None)
        folder = Path("" if files else str(ctx.system_properties["model_dir"]))
        config = handler_options(
            ctx.model_yaml_config, VOCABULARY, handler="text_handler", unknown="ignore"
        )
        manifest = (ctx.manifest or {}).get("model") or {}
        named = config.get("vocabulary") or manifest.get("sourceVocab")
        for name in (named,) if named else VOCABULARY_FILES:
            path = files.path(name) if files else folder / name
            if path.is_file():
                return str(path)
        raise ModelError(
            f"The vocabulary {named!r} is not in the archive."
            if named
            else "The archive has no vocabulary.",
            hint="Add one with --extra-files, under one of these names: "
            f"{', '.join(VOCABULARY_FILES)}.",
        )

    def preprocess(self, data: list[Any]) -> TextBatch:
        """Turn a batch of texts into numbers.

        Args:
            data: The requests; a text is str, or UTF-8 bytes.

        Returns:
            The texts one by one. It unpacks as the pair ``(ids, tokens)``: int64 of shape
            ``[total]``, all texts one behind the other, and the words that they came from.

        Raises:
            PredictionException: An item is no text.
        """
        return TextBatch(each_item(data, self._read), self.device)

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the model on a batch of texts.

        A model whose ``forward`` takes ``offsets`` gets the ids as they are, as
        ``torch.nn.EmbeddingBag`` wants them. Any other gets ids of shape ``[batch, length]``: texts
        of the same length together, or, where it takes an ``attention_mask`` or ``lengths``, of
        like lengths, filled up.

        Returns:
            The model's output, of shape ``[batch, …]``, in the order of the requests.
        """
        if not isinstance(data, TextBatch):
            return super().inference(data, *args, **kwargs)
        padding = getattr(self.source_vocab, "padding", 0)
        return run_model(self.model, super().inference, data, padding=padding)

    def _read(self, row: Any) -> tuple[list[int], list[str]]:
        text = as_text(payload(row))
        if isinstance(self.tokenizer, TokenizerFile):
            tokens, ids = self.tokenizer.encode(text)
            return ids, tokens
        words = self._tokenize(self._clean(text))
        runs = text_utils.ngrams_iterator(words, self.ngrams)
        return [self.source_vocab[run] for run in runs if self._knows(run)], words

    def _clean(self, text: str) -> str:
        text = self._remove_html_tags(text).lower()
        text = self._remove_accented_characters(self._expand_contractions(text))
        return self._remove_punctuation(text)

    def _knows(self, run: str) -> bool:
        """A vocabulary that has no number for unknown words has them left out."""
        vocabulary = self.source_vocab
        return not isinstance(vocabulary, Vocabulary) or vocabulary.knows(run)

    def get_insights(self, text_preprocess: TextBatch, _: Any, target: Any = 0) -> list[Any]:
        """How much each word spoke for a class.

        Args:
            text_preprocess: What ``preprocess`` returned.
            _: The requests' data; not used.
            target: The class, or one for each text.

        Returns:
            For each text ``{"importances": [float, …], "words": [str, …]}``, of one length.
        """
        rows = [TextBatch([row], text_preprocess.device) for row in text_preprocess.rows]
        targets = target if isinstance(target, list) else [target] * len(rows)
        return [self._insight(row, goal) for row, goal in zip(rows, targets, strict=True)]

    def explain_handle(self, data_preprocess: TextBatch, raw_data: list[Any]) -> list[Any]:
        """Explain a batch.

        Args:
            data_preprocess: What ``preprocess`` returned.
            raw_data: The requests; ``target`` in one names the class to explain. Without it, that
                is the class that the model finds most probable.

        Returns:
            For each text ``target``, and the ``importances`` of its ``words``.
        """
        asked = [target_of(row) for row in raw_data]
        best = self.inference(data_preprocess).argmax(1).tolist()
        targets = [
            found if wanted is None else wanted for wanted, found in zip(asked, best, strict=True)
        ]
        insights = self.get_insights(data_preprocess, [payload(row) for row in raw_data], targets)
        return [
            {"target": target, **insight} for target, insight in zip(targets, insights, strict=True)
        ]

    def _insight(self, row: TextBatch, target: int) -> dict[str, Any]:
        if self.lig is None:
            self.lig = layer_gradients_of(self.model)
        padding = getattr(self.source_vocab, "padding", 0)
        parts = attributions(self.model, self.lig, row, target=target, padding=padding)
        words = row.tokens
        importances = spread(self.summarize_attributions(parts), self._spans(words), len(words))
        return {"importances": importances, "words": self.get_word_token(words)}

    def _spans(self, words: list[str]) -> list[tuple[int, int]]:
        """Which words each of a text's ids stands for."""
        if isinstance(self.tokenizer, TokenizerFile):
            return [(place, 1) for place in range(len(words))]
        spans = text_utils.ngram_spans(len(words), self.ngrams)
        return [
            (start, length)
            for start, length in spans
            if self._knows(" ".join(words[start : start + length]))
        ]

    def _expand_contractions(self, text: str) -> str:
        """The text with "don't" as "do not" and the like."""
        return text_utils.expand_contractions(text)

    def _remove_accented_characters(self, text: str) -> str:
        """The text in ASCII."""
        return text_utils.remove_accented_characters(text)

    def _remove_html_tags(self, text: str) -> str:
        """The text without the tags and the entities of HTML."""
        return text_utils.remove_html_tags(text)

    def _remove_punctuation(self, text: str) -> str:
        """The text without ASCII punctuation."""
        return text_utils.remove_punctuation(text)

    def _remove_puncutation(self, *args: Any, **kwargs: Any) -> str:
        """TorchServe's first spelling of ``_remove_punctuation``."""
        return self._remove_punctuation(*args, **kwargs)

    def _tokenize(self, text: str) -> list[str]:
        """The tokens of a text."""
        tokens: list[str] = self.tokenizer(text)
        return tokens

    def get_word_token(self, input_tokens: Iterable[str]) -> list[str]:
        """The tokens as words: without the mark that byte-pair encoding puts for a space."""
        return [token.replace("Ġ", "") for token in input_tokens]

    def summarize_attributions(self, attributions: torch.Tensor) -> torch.Tensor:
        """One number for each token: its sum over the embedding, scaled to length 1 in all.

        Args:
            attributions: float of shape ``[…, tokens, embedding]``.

        Returns:
            float of shape ``[tokens]``.
        """
        summed = attributions.sum(dim=-1).squeeze(0)
        norm = torch.linalg.vector_norm(summed)
        return summed / norm if norm > 0 else summed
