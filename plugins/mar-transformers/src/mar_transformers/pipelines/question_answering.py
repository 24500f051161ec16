"""Extractive question answering: which part of a text answers a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.pipelines.base import ChunkPipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["QuestionAnsweringPipeline"]

# A long text is read in windows of so many tokens, as models are trained on SQuAD.
_WINDOW = 384
_OVERLAP = 128
_IMPOSSIBLE = -10_000.0


class QuestionAnsweringPipeline(ChunkPipeline):  # type: ignore[misc]  # transformers is untyped here
    """`{"question": …, "context": …}` in, `{"score", "start", "end", "answer"}` out.

    Answers as the pipeline did that transformers had before version 5: each window's scores are a
    distribution over its tokens, an answer is whole words, and of equal answers in two windows the
    scores are added.
    """

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], ...]:
        before: dict[str, Any] = {
            name: given.pop(name) for name in ("max_seq_len", "doc_stride") if name in given
        }
        return before, {}, given

    def preprocess(
        self,
        input_: dict[str, str],
        *,
        max_seq_len: int | None = None,
        doc_stride: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Cut a text into windows, each with the question.

        Args:
            input_: The question and the text.
            max_seq_len: How many tokens a window holds, with the question.
            doc_stride: How many tokens two windows have in common.
        """
        first = self.tokenizer.padding_side == "right"
        pair = (input_["question"], input_["context"])
        length = min(max_seq_len or _WINDOW, self.tokenizer.model_max_length)
        room = length - len(self.tokenizer(pair[0])["input_ids"]) - 1
        if room < 1:
            raise ValueError(f"A window of {length} tokens has no room beside the question.")
        stride = _OVERLAP if doc_stride is None else max(doc_stride, 0)
        windows = self.tokenizer(
            *(pair if first else pair[::-1]),
            truncation="only_second" if first else "only_first",
            max_length=length,
            stride=min(stride, room // 2),
            return_overflowing_tokens=True,
        )
        count = len(windows["input_ids"])
        for at in range(count):
            inputs = {
                name: torch.tensor([windows[name][at]])
                for name in self.tokenizer.model_input_names
                if name in windows
            }
            spans = _word_spans(windows, at, sequence=int(first))
            yield {
                **inputs,
                "p_mask": torch.tensor([[span is None for span in spans]]),
                "spans": torch.tensor([[span or (0, 0) for span in spans]]),
                "context": input_["context"],
                "is_last": at == count - 1,
            }

    def _forward(self, input_tensors: dict[str, Any]) -> dict[str, Any]:
        ours = {name: input_tensors.pop(name) for name in ("p_mask", "spans", "context", "is_last")}
        output = self.model(**input_tensors)
        return {"start": output["start_logits"], "end": output["end_logits"], **ours}

    def postprocess(
        self,
        model_outputs: list[dict[str, Any]],
        *,
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> Any:
        """The best answers over all windows.

        Args:
            model_outputs: What the model said of each window.
            top_k: How many answers; one is a dict, several are a list.
            max_answer_len: How many tokens an answer has at most.
            handle_impossible_answer: Take "there is no answer" as one: an empty text.
        """
        if top_k < 1 or max_answer_len < 1:
            raise ValueError("top_k and max_answer_len are whole numbers from 1.")
        found: dict[tuple[int, int], float] = {}
        nothing = 1.0
        for window in model_outputs:
            answers, null = _best(window, top_k, max_answer_len)
            nothing = min(nothing, null)
            for span, score in answers:
                found[span] = found.get(span, 0.0) + score
        if handle_impossible_answer:
            found[0, 0] = nothing
        context = model_outputs[0]["context"]
        ranked = sorted(found.items(), key=lambda one: one[1], reverse=True)[:top_k]
        best = [
            {"score": score, "start": start, "end": end, "answer": context[start:end]}
            for (start, end), score in ranked
        ]
        return best[0] if top_k == 1 and best else best


def _word_spans(windows: Any, at: int, *, sequence: int) -> list[tuple[int, int] | None]:
    """For each token of a window the characters of its word; None where it is not of the text."""
    spans: list[tuple[int, int] | None] = []
    for word, owner in zip(windows.word_ids(at), windows.sequence_ids(at), strict=True):
        if word is None or owner != sequence:
            spans.append(None)
        else:
            spans.append(tuple(windows.word_to_chars(at, word, sequence)))
    return spans


def _best(
    window: dict[str, Any], top_k: int, longest: int
) -> tuple[list[tuple[tuple[int, int], float]], float]:
    """A window's best spans with their scores, and the score of there being no answer."""
    outside = window["p_mask"][0].numpy().astype(bool)
    # The first token stands for "no answer": it takes its share of the distribution.
    outside_but_first = outside.copy()
    outside_but_first[0] = False
    start, end = (
        _shares(window[name][0].float().numpy(), outside_but_first) for name in ("start", "end")
    )
    null = float(start[0] * end[0])
    start[outside] = end[outside] = 0.0
    scores = np.tril(np.triu(np.outer(start, end)), longest - 1)
    order = np.argsort(-scores, axis=None, kind="stable")[:top_k]
    spans = window["spans"][0].tolist()
    best = []
    for first, last in zip(*np.unravel_index(order, scores.shape), strict=True):
        if scores[first, last] > 0:
            best.append(((spans[first][0], spans[last][1]), float(scores[first, last])))
    return best, null


def _shares(logits: np.ndarray[Any, Any], outside: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    values = np.where(outside, _IMPOSSIBLE, logits)
    weights = np.exp(values - values.max())
    shares: np.ndarray[Any, Any] = weights / weights.sum()
    return shares
