"""The tasks: which model is for which, what a request for it holds, and what it may ask for."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core import ModelError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ALIASES",
    "GENERATION",
    "LABELS_INSIDE",
    "TASKS",
    "Takes",
    "Task",
    "find_task",
    "task_of",
]

# What a client may ask of `generate`. It takes more: `custom_generate`, for one, runs code.
GENERATION = frozenset({
    "bad_words_ids", "begin_suppress_tokens", "bos_token_id", "diversity_penalty", "do_sample",
    "early_stopping", "encoder_repetition_penalty", "eos_token_id", "epsilon_cutoff", "eta_cutoff",
    "exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id",
    "length_penalty", "max_length", "max_new_tokens", "min_length", "min_new_tokens", "min_p",
    "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences", "pad_token_id",
    "renormalize_logits", "repetition_penalty", "stop_strings", "suppress_tokens", "temperature",
    "top_k", "top_p", "typical_p", "use_cache",
})  # fmt: skip
_CLASSES = frozenset({"top_k", "function_to_apply"})
_SEQ2SEQ = GENERATION | {"truncation", "clean_up_tokenization_spaces", "seed", "prefix"}


class Takes(Enum):
    """What one item of a request is."""

    TEXT = "a text"
    TEXT_OR_PAIR = 'a text, or {"text": …, "text_pair": …}'
    PROMPT = 'a text, or the messages of a chat: [{"role": …, "content": …}]'
    QUESTION = '{"question": …, "context": …}'
    TABLE = '{"query": …, "table": {column: [cell, …]}}'
    IMAGE = "a picture"
    IMAGE_AND_LABELS = "a picture, with candidate_labels"
    IMAGE_AND_TEXT = 'a picture, {"image": …, "text": …}, or the messages of a chat'
    DOCUMENT = '{"image": …, "question": …}'
    AUDIO = "a sound"


@dataclass(frozen=True, slots=True)
class Task:
    """One task.

    Attributes:
        name: Its name, as `transformers.pipeline` knows it, or did before version 5.
        takes: What one item of a request is.
        tables: The tables of transformers that list its models' classes, in short:
            `SEQUENCE_CLASSIFICATION` is `MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES`. Or a
            class's own name.
        parameters: What a request may ask for.
        nested: Parameters of `generate` go to the pipeline as `generate_kwargs`.
        model: The class of transformers that loads the model, for the tasks whose pipeline is ours.
    """

    name: str
    takes: Takes
    tables: tuple[str, ...]
    parameters: frozenset[str] = frozenset()
    nested: bool = False
    model: str | None = None

    @property
    def has_text(self) -> bool:
        """Whether the model reads text, so that it needs a tokenizer."""
        return self.takes not in {Takes.IMAGE, Takes.AUDIO} or self.name in _SPEAKING

    @property
    def has_images(self) -> bool:
        """Whether the model sees, so that it needs an image processor."""
        return self.takes in {Takes.IMAGE, Takes.IMAGE_AND_LABELS, Takes.IMAGE_AND_TEXT}


# Its labels are a part of the item, and not of what is asked for.
LABELS_INSIDE = frozenset({"zero-shot-object-detection"})
_SPEAKING = frozenset({"automatic-speech-recognition", "image-to-text"})
# In the order in which an architecture that several tables list is looked up.
_ALL = (
    Task("text-classification", Takes.TEXT_OR_PAIR, ("SEQUENCE_CLASSIFICATION",),
         _CLASSES | {"truncation", "max_length", "padding"}),
    Task("token-classification", Takes.TEXT, ("TOKEN_CLASSIFICATION",),
         frozenset({"aggregation_strategy", "ignore_labels", "stride"})),
    Task("document-question-answering", Takes.DOCUMENT, ("DOCUMENT_QUESTION_ANSWERING",),
         frozenset({"doc_stride", "handle_impossible_answer", "lang", "max_answer_len",
                    "max_question_len", "max_seq_len", "top_k"})),
    Task("question-answering", Takes.QUESTION, ("QUESTION_ANSWERING",),
         frozenset({"doc_stride", "handle_impossible_answer", "max_answer_len", "max_seq_len",
                    "top_k"}),
         model="AutoModelForQuestionAnswering"),
    Task("table-question-answering", Takes.TABLE, ("TABLE_QUESTION_ANSWERING",),
         frozenset({"padding", "sequential", "truncation"})),
    Task("zero-shot-classification", Takes.TEXT, (),
         frozenset({"candidate_labels", "hypothesis_template", "multi_label"})),
    Task("text2text-generation", Takes.TEXT, ("SEQ_TO_SEQ_CAUSAL_LM",), _SEQ2SEQ,
         model="AutoModelForSeq2SeqLM"),
    Task("summarization", Takes.TEXT, (), _SEQ2SEQ, model="AutoModelForSeq2SeqLM"),
    Task("translation", Takes.TEXT, (), _SEQ2SEQ | {"src_lang", "tgt_lang"},
         model="AutoModelForSeq2SeqLM"),
    Task("text-generation", Takes.PROMPT, ("CAUSAL_LM",),
         GENERATION | {"clean_up_tokenization_spaces", "continue_final_message", "documents",
                       "prefix", "return_full_text", "seed", "skip_special_tokens", "stop",
                       "stop_sequence", "tools", "truncation"}),
    Task("image-to-text", Takes.IMAGE, ("VisionEncoderDecoderModel",), GENERATION | {"seed"},
         model="AutoModelForImageTextToText"),
    Task("image-text-to-text", Takes.IMAGE_AND_TEXT, ("IMAGE_TEXT_TO_TEXT",),
         GENERATION | {"return_full_text", "seed"}, nested=True),
    Task("fill-mask", Takes.TEXT, ("MASKED_LM",), frozenset({"targets", "top_k"})),
    Task("image-classification", Takes.IMAGE, ("IMAGE_CLASSIFICATION",), _CLASSES),
    Task("object-detection", Takes.IMAGE, ("OBJECT_DETECTION",), frozenset({"threshold"})),
    Task("image-segmentation", Takes.IMAGE,
         ("SEMANTIC_SEGMENTATION", "INSTANCE_SEGMENTATION", "UNIVERSAL_SEGMENTATION",
          "IMAGE_SEGMENTATION"),
         frozenset({"mask_threshold", "overlap_mask_area_threshold", "subtask", "threshold"})),
    Task("depth-estimation", Takes.IMAGE, ("DEPTH_ESTIMATION",)),
    Task("zero-shot-image-classification", Takes.IMAGE_AND_LABELS,
         ("ZERO_SHOT_IMAGE_CLASSIFICATION",),
         frozenset({"candidate_labels", "hypothesis_template"})),
    Task("zero-shot-object-detection", Takes.IMAGE_AND_LABELS, ("ZERO_SHOT_OBJECT_DETECTION",),
         frozenset({"candidate_labels", "threshold", "top_k"})),
    Task("automatic-speech-recognition", Takes.AUDIO, ("SPEECH_SEQ_2_SEQ", "CTC"),
         GENERATION | {"chunk_length_s", "language", "return_language", "return_timestamps",
                       "stride_length_s", "task"}),
    Task("audio-classification", Takes.AUDIO, ("AUDIO_CLASSIFICATION",), _CLASSES),
    Task("zero-shot-audio-classification", Takes.AUDIO, ("ClapModel",),
         frozenset({"candidate_labels", "hypothesis_template"})),
    Task("image-feature-extraction", Takes.IMAGE, ("IMAGE",), frozenset({"pool"})),
    Task("feature-extraction", Takes.TEXT, ("TEXT_ENCODING", ""), frozenset({"truncation"})),
)  # fmt: skip
TASKS: Mapping[str, Task] = {task.name: task for task in _ALL}
ALIASES = {
    "conversational": "text-generation",
    "ner": "token-classification",
    "sentiment-analysis": "text-classification",
    "visual-question-answering": "image-text-to-text",
    "vqa": "image-text-to-text",
}


def find_task(name: str) -> Task:
    """The task of that name.

    Args:
        name: The name, one of its aliases, or `translation_XX_to_YY`.

    Raises:
        ModelError: There is none.
    """
    known = "translation" if name.startswith("translation_") else ALIASES.get(name, name)
    if known in TASKS:
        return TASKS[known]
    raise ModelError(
        f"model-config.yaml: handler.task is {name!r}, which mar-transformers does not know"
        f"{did_you_mean(name, [*TASKS, *ALIASES]) or '.'}",
        hint=f"The tasks are {', '.join(sorted(TASKS))}.",
    )


def task_of(config: Mapping[str, Any]) -> Task:
    """The task that a model is for, by its class.

    Args:
        config: The model's `config.json`.

    Raises:
        ModelError: It names no class, or one that is for none of the tasks.
    """
    named = config.get("architectures")
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    for task in _ALL:
        if any(name in _classes(table) for table in task.tables for name in names):
            return task
    what = f"the model is {names[0]}" if names else "config.json names no architectures"
    raise ModelError(
        f"What the model is for is not known: {what}.",
        hint="Say it in model-config.yaml: `handler: {task: text-classification}`. The tasks are "
        f"{', '.join(sorted(TASKS))}.",
    )


def _classes(table: str) -> frozenset[str]:
    """The names of the classes in a table of transformers; `""` has the models without a head."""
    if table and not table.isupper():
        return frozenset({table})
    name = f"MODEL_FOR_{table}_MAPPING_NAMES" if table else "MODEL_MAPPING_NAMES"
    return _tables().get(name, frozenset())


@functools.cache
def _tables() -> dict[str, frozenset[str]]:
    """The tables of transformers, read from its source: importing them imports torch."""
    package = find_spec("transformers")
    if package is None or package.origin is None:
        return {}
    path = Path(package.origin).parent / "models" / "auto" / "modeling_auto.py"
    found: dict[str, frozenset[str]] = {}
    for statement in ast.parse(path.read_bytes()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name.endswith("_MAPPING_NAMES"):
                found[name] = frozenset(_classes_in(statement.value, found))
    return found


def _classes_in(table: ast.expr, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """The classes of `OrderedDict([*OTHER.items(), ("funnel", ("OneModel", "OtherModel")), …])`."""
    for node in ast.walk(table):
        if isinstance(node, ast.Name):
            yield from known.get(node.id, ())
        elif isinstance(node, ast.Tuple) and len(node.elts) == _PAIR:
            values = ast.walk(node.elts[1])
            yield from (str(one.value) for one in values if isinstance(one, ast.Constant))


_PAIR = 2
