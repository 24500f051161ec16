"""Texts into texts: translation, summaries, and what else encoders with decoders do."""

from __future__ import annotations

from typing import Any

from transformers import GenerationConfig
from transformers.pipelines.base import Pipeline

from mar_transformers.tasks import GENERATION

__all__ = ["Seq2SeqPipeline"]

# The key of an answer, as the pipelines had it that transformers had before version 5.
_KEYS = {"summarization": "summary_text", "translation": "translation_text"}


class Seq2SeqPipeline(Pipeline):  # type: ignore[misc]  # transformers is untyped here
    """A text in, `[{"generated_text": …}]` out; `summary_text` and `translation_text` by the task.

    A model like T5, which is told its task by the first words of the text, has those words and its
    parameters for it in its config, under `task_specific_params`.
    """

    _pipeline_calls_generate = True
    _default_generation_config = GenerationConfig(max_new_tokens=256)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._key = _KEYS.get(self.task.partition("_")[0], "generated_text")
        named = getattr(self.model.config, "task_specific_params", None) or {}
        own = named.get(self.task) or {}
        self._first_words = own.get("prefix", "")
        self._generation_defaults.update(
            {name: value for name, value in own.items() if name in GENERATION}
        )
        if "max_length" in own:
            self._generation_defaults.pop("max_new_tokens", None)

    def _sanitize_parameters(
        self,
        *,
        truncation: Any = None,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        prefix: str | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        **generate: Any,
    ) -> tuple[dict[str, Any], ...]:
        given = {
            "truncation": truncation,
            "src_lang": src_lang,
            "tgt_lang": tgt_lang,
            "prefix": prefix,
        }
        before = {name: value for name, value in given.items() if value is not None}
        after = {}
        if clean_up_tokenization_spaces is not None:
            after["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        return before, generate, after

    def preprocess(
        self,
        input_: str,
        *,
        truncation: Any = None,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        prefix: str | None = None,
    ) -> Any:
        """Turn a text into tokens.

        Args:
            input_: The text.
            truncation: Whether to cut off what is longer than the model takes.
            src_lang: The language of the text, in the tokenizer's words.
            tgt_lang: The language that is wanted.
            prefix: What to put before the text.
        """
        text = f"{self._first_words if prefix is None else prefix}{input_}"
        options = {} if truncation is None else {"truncation": truncation}
        translate = getattr(self.tokenizer, "_build_translation_inputs", None)
        if translate is not None and tgt_lang is not None:
            source = src_lang or self.tokenizer.src_lang
            return translate(
                text, return_tensors="pt", src_lang=source, tgt_lang=tgt_lang, **options
            )
        return self.tokenizer(text, return_tensors="pt", **options)

    def _forward(self, input_tensors: Any, **generate: Any) -> dict[str, Any]:
        forced = input_tensors.pop("forced_bos_token_id", None)
        if forced is not None:  # one for each text of the batch, all of one request's language
            first = forced[0] if isinstance(forced, list) else forced
            generate.setdefault("forced_bos_token_id", int(first))
        input_tensors.pop("token_type_ids", None)
        tokens = self.model.generate(**input_tensors, **self._prepare_generate_kwargs(generate))
        size = input_tensors["input_ids"].shape[0]
        return {"tokens": tokens.reshape(size, -1, tokens.shape[-1])}

    def postprocess(self, model_outputs: dict[str, Any], **decode: Any) -> list[dict[str, str]]:
        """The tokens of each text that was generated, as text.

        Args:
            model_outputs: Tokens of shape `[1, sequences, length]`.
            **decode: Handed to the tokenizer.
        """
        return [
            {self._key: self.tokenizer.decode(row, skip_special_tokens=True, **decode)}
            for row in model_outputs["tokens"][0]
        ]
