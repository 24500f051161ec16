"""From the files of an archive to a pipeline, without a network."""

from __future__ import annotations

import logging
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mar_core import ModelError, SavedFiles, compile_options, keep_hub_offline
from mar_transformers.files import CONFIG, missing
from mar_transformers.made_up import refusing_made_up_heads
from mar_transformers.tasks import Task, find_task, task_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from mar_transformers.options import Options

__all__ = ["Loaded", "load_pipeline"]

logger = logging.getLogger(__name__)

_SHOWN = 400
# The last line of a traceback.
_RAISED = re.compile(r"^[\w.]*(?:Error|Exception): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline and what it is for.

    Attributes:
        task: The task.
        pipe: The pipeline.
    """

    task: Task
    pipe: Any


def load_pipeline(
    folder: Path,
    options: Options,
    *,
    device: torch.device,
    trusted: bool = False,
    config: dict[str, Any] | None = None,
    weights: str | None = None,
) -> Loaded:
    """Load what `save_pretrained` has saved.

    Args:
        folder: The unpacked archive.
        options: What model-config.yaml says to the handler.
        device: Where the model goes, unless there is a `device_map`.
        trusted: Whether the user trusts the archive.
        config: The whole of model-config.yaml, for `pt2`.
        weights: The file that the manifest names as the weights, if any.

    Raises:
        ModelError: A file is missing, the model's code is not trusted, or transformers cannot load
            it; the sentence says which. Or ``pt2`` is not what it may be.
    """
    keep_hub_offline()
    compiling = compile_options(config)
    files = SavedFiles.in_folder(folder)
    _check_files(files, options, weights, trusted=trusted)
    import transformers

    transformers.utils.logging.disable_progress_bar()
    task = find_task(options.task) if options.task else task_of(files.json(CONFIG))
    _check_processors(files, task)
    with refusing_made_up_heads(task), _explained(folder, options):
        pipe = _make(folder, task, options, device)
    _fit_for_batches(pipe)
    _limit_length(pipe)
    pipe.model.eval()
    if compiling is not None:
        pipe.model.compile(**compiling)
    if "TRANSFORMERS_VERBOSITY" not in os.environ:  # what it says while loading has been said
        transformers.utils.logging.set_verbosity_error()
    return Loaded(task, pipe)


def _make(folder: Path, task: Task, options: Options, device: torch.device) -> Any:
    from mar_transformers.pipelines import CLASSES

    more: dict[str, Any] = {"dtype": options.dtype, "trust_remote_code": options.trust_remote_code}
    if options.attn_implementation:
        more["attn_implementation"] = options.attn_implementation
    if options.device_map is not None:
        more["device_map"] = options.device_map
    placed = {} if options.device_map is not None else {"device": device}
    if task.model is not None:
        return _our_own(folder, task, options, more, placed)
    import transformers

    trust = more.pop("trust_remote_code")
    return transformers.pipeline(
        task.name,
        model=str(folder),
        dtype=more.pop("dtype"),
        trust_remote_code=trust,
        model_kwargs=more,
        pipeline_class=CLASSES.get(task.name),
        **placed,
    )


def _our_own(
    folder: Path, task: Task, options: Options, more: dict[str, Any], placed: dict[str, Any]
) -> Any:
    """A task whose pipeline version 5 of transformers no longer has; its models it still has."""
    import transformers

    from mar_transformers.pipelines import CLASSES

    assert task.model is not None  # noqa: S101 - it is what makes the task ours
    model = getattr(transformers, task.model).from_pretrained(str(folder), **more)
    trust = {"trust_remote_code": options.trust_remote_code}
    parts = {"tokenizer": transformers.AutoTokenizer.from_pretrained(str(folder), **trust)}
    if task.has_images:
        found = transformers.AutoImageProcessor.from_pretrained(str(folder), **trust)
        parts["image_processor"] = found
    named = options.task or task.name
    return CLASSES[task.name](model=model, task=named, **parts, **placed)


def _check_files(
    files: SavedFiles, options: Options, weights: str | None, *, trusted: bool
) -> None:
    for sentence in missing(files, weights=weights):
        raise ModelError(sentence, hint=_HOW)
    if files.weights is None and files.index is None:
        raise ModelError(
            f"The weights are called {weights}, and transformers looks for {files.WEIGHTS[0]}.",
            hint="Keep the names that save_pretrained gives: `mar archive --from FOLDER` does.",
        )
    if options.device_map is not None and find_spec("accelerate") is None:
        raise ModelError(
            "model-config.yaml asks for a device_map, which needs accelerate.",
            hint="Install it: `pip install 'mar-transformers[device-map]'`.",
        )
    if options.trust_remote_code and not trusted:
        raise ModelError(
            "model-config.yaml asks for trust_remote_code: Python files of the model would run.",
            hint="Pass --trust (or --allow-pickle) if you trust whoever made the archive, or trust "
            "it once for all with `mar trust`.",
        )


_HOW = (
    "Save the model and what belongs to it with save_pretrained(FOLDER), and pack all of it: "
    "`mar archive --from FOLDER`. Nothing is downloaded while an archive runs."
)


def _check_processors(files: SavedFiles, task: Task) -> None:
    """Name the file that transformers would look for on the hub, and not find."""
    if task.has_text and files.first(files.TOKENIZERS) is None and task.name != _SPEECH:
        raise ModelError(
            f"There is no tokenizer for {task.name}: no {files.TOKENIZERS[0]}, and no other file "
            "that one is made of.",
            hint=_HOW,
        )
    sees = task.has_images or task.name in _LISTENING
    if sees and files.first(("preprocessor_config.json", "processor_config.json")) is None:
        raise ModelError(f"There is no preprocessor_config.json for {task.name}.", hint=_HOW)


_SPEECH = "automatic-speech-recognition"
_LISTENING = (_SPEECH, "audio-classification", "zero-shot-audio-classification")


def _fit_for_batches(pipe: Any) -> None:
    """Give a tokenizer that has none a token to fill up with; the mask hides it from the model."""
    tokenizer = pipe.tokenizer
    if tokenizer is None or tokenizer.pad_token_id is not None:
        return
    if tokenizer.eos_token_id is None:
        number = pipe.model.config.get_text_config().eos_token_id
        tokenizer.pad_token_id = number[0] if isinstance(number, list) else number
    else:
        tokenizer.pad_token = tokenizer.eos_token


def _limit_length(pipe: Any) -> None:
    """Tell a tokenizer that knows no length how many positions the model has."""
    tokenizer, config = pipe.tokenizer, pipe.model.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    if tokenizer is None or not positions or tokenizer.model_max_length < _NO_LENGTH:
        return
    counts_from_padding = any(name in config.model_type for name in _COUNT_FROM_PADDING)
    tokenizer.model_max_length = positions - (2 if counts_from_padding else 0)


# What a tokenizer has for its longest text where it was told none is far larger.
_NO_LENGTH = 1 << 40
# Models whose first position is 2, behind that of padding.
_COUNT_FROM_PADDING = ("roberta", "camembert", "longformer", "mpnet")


@contextmanager
def _explained(folder: Path, options: Options) -> Iterator[None]:
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # it raises whatever the classes below it do
        logger.debug("transformers could not load the model", exc_info=True)
        raise _said(error, folder, options) from error


def _said(error: Exception, folder: Path, options: Options) -> ModelError:
    told = str(error)
    if "See the original errors" in told:  # a traceback of each class that was tried
        told = (_RAISED.findall(told) or [told])[-1]
    text = " ".join(told.replace(f"{folder}/", "").replace(str(folder), "the archive").split())
    if "trust_remote_code" in text and not options.trust_remote_code:
        return ModelError(
            "The model has Python files of its own that would have to run.",
            hint="If you trust them, say `handler: {trust_remote_code: true}` in model-config.yaml "
            "and pass --trust.",
        )
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return ModelError(
        f"transformers cannot load the model: {shown.rstrip('.')}.",
        hint="A file may be missing or damaged, or a package: nothing is downloaded while an "
        "archive runs.",
    )
