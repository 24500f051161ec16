"""What archives of embeddings and of rerankers take and give; read without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Archive

__all__ = ["signature_of_embeddings", "signature_of_rerankers"]

_TYPES = {"int8": "int8", "uint8": "uint8", "binary": "int8", "ubinary": "uint8"}
_TEXT = {
    "name": "text",
    "type": "string",
    "description": "A text; a list of texts is answered by a list.",
    "example": "The cat sat on the mat.",
}
_TOKENS = {"type": "json"}


def signature_of_embeddings(_: Archive, options: Mapping[str, Any]) -> dict[str, Any]:
    """The signature of an archive of ``sentence_transformer``.

    Args:
        _: The archive.
        options: What its model-config.yaml says under ``handler:``.
    """
    kind = _TYPES.get(str(options.get("precision")), "float32")
    vector: dict[str, Any] = {"type": kind, "shape": [-1]}
    if options.get("usage") is True:
        vector = {"type": "object", "fields": {"embedding": vector, "tokens": _TOKENS}}
    told = {"name": "embedding", "description": "The text's embedding."}
    return {"inputs": [_TEXT], "outputs": [{**told, **vector}]}


def signature_of_rerankers(_: Archive, options: Mapping[str, Any]) -> dict[str, Any]:
    """The signature of an archive of ``cross_encoder``.

    Args:
        _: The archive.
        options: What its model-config.yaml says under ``handler:``.
    """
    query = {"name": "query", "type": "string", "example": "Where did the cat sit?"}
    documents = {
        "name": "documents",
        "type": "list",
        "items": {"type": "string"},
        "description": "What is ranked; one document as 'text' gets one score.",
        "example": ["The cat sat on the mat.", "A dog ran."],
    }
    rank = {
        "type": "object",
        "fields": {"index": {"type": "int64"}, "score": {"type": "float32"}},
        "values": {"type": "string"},
    }
    score: dict[str, Any] = {"type": "float32", "shape": None}
    ranks: dict[str, Any] = {"type": "list", "items": rank}
    given = [ranks, score]
    if options.get("usage") is True:
        given = [
            {"type": "object", "fields": {"results": ranks, "tokens": _TOKENS}},
            {"type": "object", "fields": {"scores": score, "tokens": _TOKENS}},
        ]
    told = "Places and scores of the documents, the best first; for a pair of texts its score."
    ranking = {"name": "ranking", "any_of": given, "description": told}
    return {"inputs": [query, documents], "outputs": [ranking]}
