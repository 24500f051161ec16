"""Pipelines of our own: for tasks that transformers has models for and no pipeline, and masks."""

from __future__ import annotations

from typing import Any

from mar_transformers.pipelines.image_to_text import ImageToTextPipeline
from mar_transformers.pipelines.question_answering import QuestionAnsweringPipeline
from mar_transformers.pipelines.segmentation import SegmentationPipeline
from mar_transformers.pipelines.seq2seq import Seq2SeqPipeline

__all__ = ["CLASSES"]

CLASSES: dict[str, Any] = {
    "image-segmentation": SegmentationPipeline,
    "image-to-text": ImageToTextPipeline,
    "question-answering": QuestionAnsweringPipeline,
    "summarization": Seq2SeqPipeline,
    "text2text-generation": Seq2SeqPipeline,
    "translation": Seq2SeqPipeline,
}
