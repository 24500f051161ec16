"""Pictures into texts: captions, and the text in a picture of text."""

from __future__ import annotations

from typing import Any

from transformers import GenerationConfig
from transformers.pipelines.base import Pipeline

__all__ = ["ImageToTextPipeline"]


class ImageToTextPipeline(Pipeline):  # type: ignore[misc]  # transformers is untyped here
    """A picture in, `[{"generated_text": …}]` out, for an encoder that sees and a decoder."""

    _pipeline_calls_generate = True
    _default_generation_config = GenerationConfig(max_new_tokens=256)

    def _sanitize_parameters(self, **generate: Any) -> tuple[dict[str, Any], ...]:
        return {}, generate, {}

    def preprocess(self, input_: Any) -> Any:
        """Turn a picture into pixels as the model takes them.

        Args:
            input_: A picture in RGB.
        """
        return self.image_processor(images=input_, return_tensors="pt").to(self.dtype)

    def _forward(self, input_tensors: Any, **generate: Any) -> dict[str, Any]:
        tokens = self.model.generate(**input_tensors, **self._prepare_generate_kwargs(generate))
        size = input_tensors["pixel_values"].shape[0]
        return {"tokens": tokens.reshape(size, -1, tokens.shape[-1])}

    def postprocess(self, model_outputs: dict[str, Any]) -> list[dict[str, str]]:
        """The tokens of each text that was generated, as text.

        Args:
            model_outputs: Tokens of shape `[1, sequences, length]`.
        """
        return [
            {"generated_text": self.tokenizer.decode(row, skip_special_tokens=True)}
            for row in model_outputs["tokens"][0]
        ]
