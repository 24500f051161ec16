"""``sentence_transformer``: texts in, embeddings out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core import ModelError, PredictionException, bad_item, timed
from mar_sentence_transformers.handler import SentenceHandler, fields_of, text_of, with_usage
from mar_sentence_transformers.options import EMBEDDING
from mar_sentence_transformers.passes import Asked, Prompted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import torch

    from mar_core import Context, ModelSource
    from mar_sentence_transformers.passes import Batch

__all__ = ["EmbeddingHandler"]

NAMES = ("text", "texts", "inputs", "input")
QUANTIZED_BY_RANGE = {"int8", "uint8"}
# What the library's encode_query and encode_document look for.
PROMPTS_OF = {"query": ("query",), "document": ("document", "passage", "corpus")}
MATRIX = 2


class EmbeddingHandler(SentenceHandler):
    """Turns texts into embeddings, as ``SentenceTransformer.encode`` does.

    A request is a text, a list of texts, or an object with either as ``text`` and parameters beside
    it: ``normalize``, ``dimensions``, ``prompt_name`` or ``prompt``, ``task``, ``precision``,
    ``usage``. ``handler:`` in model-config.yaml says what holds without them.
    """

    signature = "mar_sentence_transformers.signatures:signature_of_embeddings"
    stages_independent = True
    bucket_by_length = True
    table = EMBEDDING
    name = "sentence_transformer"
    kind = "SentenceTransformer"
    output = "sentence_embedding"
    _ranges: np.ndarray[Any, Any] | None = None

    def initialize(self, context: Context) -> None:
        """Load the model, and the ranges that whole numbers are scaled by.

        Raises:
            ModelError: It cannot be loaded, or an option is not what it may be.
        """
        super().initialize(context)
        folder = Path(str(context.system_properties["model_dir"]))
        if "ranges" in self.options:
            self._ranges = _read_ranges(folder, self.options["ranges"])
        try:
            self._check(self.options)
        except PredictionException as error:
            raise ModelError(f"model-config.yaml: {error.message}") from error

    def model_from_source(self, source: ModelSource) -> Any:
        """Load the library's model.

        Raises:
            ModelError: It cannot be loaded.
        """
        model = super().model_from_source(source)
        if model.truncate_dim is not None:  # saved with the model; a request may want more of it
            self.options = {"dimensions": model.truncate_dim, **self.options}
            model.truncate_dim = None
        return model

    def describe_handle(self) -> dict[str, Any]:
        """The model's numbers: dimensions, the longest text in tokens, and prompts."""
        return {
            "dimensions": self.options.get("dimensions", self.model.get_embedding_dimension()),
            "max_length": self.model.max_seq_length,
            "prompts": dict(self.model.prompts),
        }

    def read(self, row: Any) -> Asked[str]:
        """Read one request.

        Raises:
            PredictionException: It holds no text, or a parameter is not what it may be.
        """
        value, fields = fields_of(row, NAMES)
        parameters = self.parameters_of(fields)
        self._check(parameters)
        many = isinstance(value, (list, tuple))
        if value is None or (many and not value):
            raise bad_item("the request holds no text; send one, a list, or either as 'text'")
        if not many:
            return Asked([text_of(value, "the text")], parameters)
        if all(isinstance(one, int) for one in value):
            raise bad_item("the request holds numbers; texts are taken, not tokens")
        texts = [text_of(one, f"text {at}") for at, one in enumerate(value)]
        return Asked(texts, parameters, many=True)

    def prompted(self, parameters: Mapping[str, Any]) -> Prompted:
        """What a request wants said before its texts.

        Raises:
            PredictionException: The model has no such prompt.
        """
        task, prompt = parameters.get("task"), parameters.get("prompt")
        name = parameters.get("prompt_name")
        if prompt is None and name is None and task is not None:
            name = next((one for one in PROMPTS_OF[task] if one in self.model.prompts), None)
        if prompt is None and name is None:
            name = self.model.default_prompt_name
        if prompt is None and name is not None:
            prompt = self.prompt_named(name)
        return Prompted(prompt, task)

    @timed
    def postprocess(self, data: Batch[str]) -> list[Any]:
        """Cut, normalise and quantise the embeddings.

        Args:
            data: What the model said.

        Returns:
            For each request an array: of shape ``[dimensions]`` for a text, ``[texts, dimensions]``
            for a list; packed bits have an eighth of them. With ``usage`` a dict of ``embedding``
            and ``tokens``.
        """
        results, at = [], 0
        for one in data.asked:
            end = at + len(one.items)
            assert data.outputs is not None  # noqa: S101 - there is a text, so there was a pass
            found = self._finished(data.outputs[at:end], one.parameters)
            answer = found if one.many else found[0]
            results.append(with_usage(answer, one, data.tokens[at:end], key="embedding"))
            at = end
        return results

    def _finished(
        self, embeddings: torch.Tensor, parameters: Mapping[str, Any]
    ) -> np.ndarray[Any, Any]:
        import numpy as np
        from sentence_transformers.util import quantize_embeddings
        from torch.nn.functional import normalize

        if "dimensions" in parameters:
            embeddings = embeddings[..., : parameters["dimensions"]]
        if parameters.get("normalize"):
            embeddings = normalize(embeddings, p=2, dim=1)
        found = embeddings.float().cpu()
        precision = parameters.get("precision", "float32")
        return np.asarray(quantize_embeddings(found, precision, ranges=self._ranges))

    def _check(self, parameters: Mapping[str, Any]) -> None:
        """Refuse what the model cannot give.

        Raises:
            PredictionException: It cannot.
        """
        most = self.model.get_embedding_dimension()
        size = parameters.get("dimensions") or most
        if most is not None and size > most:
            raise bad_item(f"dimensions is {size}; the model's embeddings have {most}")
        if parameters.get("precision") not in QUANTIZED_BY_RANGE:
            return
        if self._ranges is None:
            raise bad_item(
                "whole numbers need ranges to be scaled by; model-config.yaml names none "
                "as handler.ranges"
            )
        if self._ranges.shape[1] != size:
            raise bad_item(
                f"the ranges that whole numbers are scaled by are for {self._ranges.shape[1]} "
                f"dimensions, not {size}"
            )


def _read_ranges(folder: Path, name: str) -> np.ndarray[Any, Any]:
    """The least and the greatest value of each dimension: an array of shape ``[2, dimensions]``."""
    import numpy as np

    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise ModelError(f"The archive has no {name}, which handler.ranges names.")
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ModelError(f"{name} is no array of NumPy's: {error}.") from error
    if not isinstance(found, np.ndarray) or found.ndim != MATRIX or found.shape[0] != MATRIX:
        raise ModelError(f"{name} must be of shape [2, dimensions]: least and greatest values.")
    return found
