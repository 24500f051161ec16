"""``cross_encoder``: pairs of texts in, scores out; or a query and documents, ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core import bad_item, timed
from mar_sentence_transformers.handler import SentenceHandler, fields_of, text_of, with_usage
from mar_sentence_transformers.options import RERANK
from mar_sentence_transformers.passes import Asked, Prompted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from mar_sentence_transformers.passes import Batch

__all__ = ["RerankHandler"]

PAIR = 2


class RerankHandler(SentenceHandler):
    """Scores pairs of texts, as ``CrossEncoder.predict`` does, and ranks documents for a query.

    A request is an object with ``query`` and ``documents``, or with ``query`` and ``document``; a
    pair of texts; or a list of pairs. Parameters beside them are ``top_k``, ``return_documents``,
    ``prompt_name`` or ``prompt``, and ``usage``.
    """

    signature = "mar_sentence_transformers.signatures:signature_of_rerankers"
    stages_independent = True
    bucket_by_length = True
    table = RERANK
    name = "cross_encoder"
    kind = "CrossEncoder"
    output = "scores"

    def describe_handle(self) -> dict[str, Any]:
        """The model's numbers: labels, the longest pair in tokens, and prompts."""
        return {
            "labels": self.model.num_labels,
            "max_length": self.model.max_seq_length,
            "prompts": dict(self.model.prompts),
        }

    def read(self, row: Any) -> Asked[tuple[str, str]]:
        """Read one request.

        Raises:
            PredictionException: It holds no pair, or a parameter is not what it may be.
        """
        value, fields = fields_of(row, ("documents", "texts", "document", "text"))
        parameters = self.parameters_of(fields)
        if fields.get("query") is None:
            return _pairs(value, parameters)
        query = text_of(fields["query"], "the query")
        if not isinstance(value, (list, tuple)):
            return Asked([(query, text_of(_inner(value), "the document"))], parameters)
        if not value:
            raise bad_item("the request holds a query and no documents")
        if self.model.num_labels != 1:
            raise bad_item(
                f"the model gives {self.model.num_labels} scores for a pair, and so no ranking; "
                "send pairs"
            )
        documents = [text_of(_inner(one), f"document {at}") for at, one in enumerate(value)]
        pairs = [(query, document) for document in documents]
        return Asked(pairs, parameters, many=True, documents=documents)

    def prompted(self, parameters: Mapping[str, Any]) -> Prompted:
        """What a request wants said before its pairs.

        Raises:
            PredictionException: The model has no such prompt.
        """
        prompt = parameters.get("prompt")
        name = parameters.get("prompt_name", self.model.default_prompt_name)
        if prompt is None and name is not None:
            prompt = self.prompt_named(name)
        return Prompted(prompt)

    @timed
    def postprocess(self, data: Batch[tuple[str, str]]) -> list[Any]:
        """Name the scores.

        Args:
            data: What the model said.

        Returns:
            For a pair its score, or a score for each label; for pairs a list; for a query with
            documents a list of ``index`` and ``score``, the best first. With ``usage`` a dict of
            ``scores`` or ``results`` and ``tokens``.
        """
        if data.outputs is None:
            return []
        scores = self._activated(data.outputs).tolist()
        results, at = [], 0
        for one in data.asked:
            end = at + len(one.items)
            answer = _answer(one, scores[at:end])
            key = "scores" if one.documents is None else "results"
            results.append(with_usage(answer, one, data.tokens[at:end], key=key))
            at = end
        return results

    def _activated(self, scores: torch.Tensor) -> torch.Tensor:
        import torch

        activation = {"sigmoid": torch.nn.Sigmoid(), "identity": torch.nn.Identity()}.get(
            self.options.get("activation", ""), self.model.activation_fn
        )
        with torch.inference_mode():
            found: torch.Tensor = activation(scores.float())
        return found.squeeze(-1) if self.model.num_labels == 1 and found.ndim > 1 else found


def _answer(asked: Asked[tuple[str, str]], scores: list[Any]) -> Any:
    if asked.documents is None:
        return scores if asked.many else scores[0]
    best = sorted(range(len(scores)), key=lambda at: -scores[at])[: asked.parameters.get("top_k")]
    ranked = [{"index": at, "score": scores[at]} for at in best]
    if asked.parameters.get("return_documents"):
        for one in ranked:
            one["text"] = asked.documents[one["index"]]
    return ranked


def _pairs(value: Any, parameters: dict[str, Any]) -> Asked[tuple[str, str]]:
    if not isinstance(value, (list, tuple)) or not value:
        raise bad_item("the request holds no 'query' with 'documents', and no pair of texts")
    if any(isinstance(one, (list, tuple)) for one in value):
        return Asked([_pair(one) for one in value], parameters, many=True)
    return Asked([_pair(value)], parameters)


def _pair(value: Any) -> tuple[str, str]:
    if not isinstance(value, (list, tuple)) or len(value) != PAIR:
        raise bad_item(f"{value!r} is no pair of texts")
    return text_of(value[0], "the first of a pair"), text_of(value[1], "the second of a pair")


def _inner(document: Any) -> Any:
    """A document may be an object with its text."""
    return document["text"] if isinstance(document, dict) and "text" in document else document
