"""A batch of requests through a pipeline: what goes together, so that answers stay equal."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mar_core import PredictionException, bad_item
from mar_transformers.lengths import check_lengths, check_written, length_of, room_of
from mar_transformers.tasks import GENERATION, LABELS_INSIDE, Takes, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from mar_transformers.loading import Loaded
    from mar_transformers.prepared import Prepared

__all__ = ["Answer", "answer", "parameters_of"]

# Texts of a padded batch are at most so much longer than its shortest, or padding costs more.
_LONGER, _MORE = 1.5, 8
# Items of one request's list that go together at most, where the batch itself is smaller.
_TOGETHER = 16
# Tasks whose answer has a part for each token, filling included: only equal lengths go together.
_TOKEN_BY_TOKEN = frozenset({"feature-extraction"})
# What a pipeline raises at a request that it cannot answer. PanicException is the tokenizers
# library's: an assertion of Rust's, and no Exception.
_AT_FAULT = (ValueError, TypeError, KeyError, PredictionException)
_AT_FAULT_BY_NAME = frozenset({"PipelineException", "PanicException"})
# What PyTorch says where an embedding has no row of that number, and of windows.
_NO_POSITION = "index out of range in self"
_TOO_SMALL = "Kernel size can't be greater than actual input size"
_ONE_BY_ONE = frozenset({Takes.DOCUMENT, Takes.IMAGE_AND_TEXT, Takes.TABLE})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the pipeline said to a request: one result for each of its items."""

    results: list[Any]
    many: bool


def answer(
    loaded: Loaded, requests: Sequence[Prepared], send: Callable[[int, str], None]
) -> list[Answer]:
    """Answer a batch.

    Args:
        loaded: The pipeline.
        requests: The requests.
        send: Takes a request's place and a piece of its text, for those that want a stream.

    Returns:
        For each request what the pipeline answers to its items; of a text that was streamed, what
        has not been sent.

    Raises:
        PredictionException: The one request of a batch cannot be answered as it is.
    """
    found: dict[tuple[int, int], Any] = {}
    for group in _alike(requests):
        first = requests[group[0][0]]
        values = [requests[place].items[item] for place, item in group]
        alone = len(requests) == 1  # then nobody asks again for one at a time
        for part in _cut(_parts(loaded, values, first, alone), max(len(requests), _TOGETHER)):
            chosen = [values[at] for at in part]
            places = [group[at] for at in part]
            results = _ask(loaded, chosen, first, alone, lambda at, text: send(places[at][0], text))  # noqa: B023
            found.update(zip(places, results, strict=True))
    return [
        Answer([found[place, item] for item in range(len(request.items))], request.many)
        for place, request in enumerate(requests)
    ]


def _alike(requests: Sequence[Prepared]) -> Iterator[list[tuple[int, int]]]:
    """The items of requests that ask for the same, as places of a request and of its item."""
    groups: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, request in enumerate(requests):
        key = json.dumps([request.parameters, request.stream], sort_keys=True, default=repr)
        if request.seed is not None:  # its random numbers are its own
            key = f"{place}"
        groups[key] += [(place, item) for item in range(len(request.items))]
    yield from groups.values()


def _ask(
    loaded: Loaded,
    values: list[Any],
    asked: Prepared,
    alone: bool,  # noqa: FBT001 - one of five, inside
    send: Callable[[int, str], None],
) -> list[Any]:
    """Ask for several items at once, and where that fails for those of one request one by one."""
    try:
        return _call(loaded, values, asked, send)
    except ValueError:
        if not alone or len(values) == 1:
            raise
    return [_call(loaded, [value], asked, send)[0] for value in values]


def _call(
    loaded: Loaded, values: list[Any], asked: Prepared, send: Callable[[int, str], None]
) -> list[Any]:
    """Ask the pipeline; a single item alone, so that nothing is padded."""
    import torch

    pipe, parameters, streams = loaded.pipe, dict(asked.parameters), None
    check_written(loaded, asked)
    if len(values) == 1 and loaded.task.takes is Takes.PROMPT:
        room = room_of(loaded, length_of(pipe, values[0]), asked)
        parameters |= {} if room is None else {"max_new_tokens": room}
    if asked.seed is not None:
        torch.manual_seed(asked.seed)
    if asked.stream and parameters.get("num_return_sequences", 1) != 1:
        raise bad_item("of several texts for one prompt none is streamed; ask for one")
    if asked.stream:
        from mar_transformers.streaming import Streams

        streams = Streams(pipe.tokenizer, len(values), send)
        parameters["streamer"] = streams
    try:
        with torch.inference_mode():
            if len(values) == 1:
                results = [pipe(values[0], **parameters)]
            else:
                results = list(pipe(values, batch_size=len(values), **parameters))
    except BaseException as error:
        error = _known(error)
        if not isinstance(error, _AT_FAULT) and type(error).__name__ not in _AT_FAULT_BY_NAME:
            raise
        if len(values) > 1:  # they are asked one by one, and the one that is at fault says so
            raise ValueError(str(error)) from error
        raise _refusal(error) from error
    return results if streams is None else streams.tails


def _known(error: BaseException) -> BaseException:
    """What PyTorch says of an input that is too long or too short, in the client's words."""
    if isinstance(error, IndexError) and _NO_POSITION in str(error):
        return bad_item("the text, with what is written, has more tokens than the model takes")
    if isinstance(error, RuntimeError) and _TOO_SMALL in str(error):
        return bad_item("the sound or the picture is smaller than the model's windows")
    return error


def _refusal(error: BaseException) -> PredictionException:
    if isinstance(error, PredictionException):
        return error
    text = " ".join(str(error).split())
    return bad_item(text or type(error).__name__)


# ── What goes together ────────────────────────────────────────────────────────────────────────────


def _parts(
    loaded: Loaded,
    values: list[Any],
    asked: Prepared,
    alone: bool,  # noqa: FBT001 - one of four, inside
) -> Iterator[list[int]]:
    """Places of items that may share a batch without changing each other's answers."""
    task = loaded.task
    if task.takes in _ONE_BY_ONE or task.name == "zero-shot-object-detection":
        yield from ([at] for at in range(len(values)))
    elif task.takes is Takes.AUDIO:
        yield from _equal(_sound_key(loaded, value, at) for at, value in enumerate(values))
    elif task.takes in {Takes.IMAGE, Takes.IMAGE_AND_LABELS}:
        resized = _has_one_size(loaded.pipe.image_processor)
        yield from _equal(None if resized else value.size for value in values)
    else:
        lengths = [length_of(loaded.pipe, value) for value in values]
        check_lengths(loaded, lengths, asked, alone=alone)
        # What is written to some ends where the model's positions do: at each one's own length.
        full = [room_of(loaded, one, asked) is not None for one in lengths]
        yield from ([at] for at, is_full in enumerate(full) if is_full)
        rest = [at for at, is_full in enumerate(full) if not is_full]
        padded = "attention_mask" in loaded.pipe.tokenizer.model_input_names
        together = _near if padded and task.name not in _TOKEN_BY_TOKEN else _equal
        for part in together([lengths[at] for at in rest]):
            yield [rest[at] for at in part]


def _cut(parts: Iterable[list[int]], most: int) -> Iterator[list[int]]:
    for part in parts:
        yield from (part[start : start + most] for start in range(0, len(part), most))


def _equal(keys: Iterable[Hashable]) -> Iterator[list[int]]:
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)
    yield from groups.values()


def _near(lengths: list[int]) -> Iterator[list[int]]:
    part: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if part and lengths[place] > lengths[part[0]] * _LONGER + _MORE:
            yield part
            part = []
        part.append(place)
    if part:
        yield part


def _sound_key(loaded: Loaded, samples: Any, at: int) -> Hashable:
    """What sounds must have in common: nothing where each is made as long as the model's window."""
    extractor = loaded.pipe.feature_extractor
    if loaded.task.name == "automatic-speech-recognition":
        # Windows of one sound share the batch too: they are of one length in Whisper's alone.
        window = getattr(extractor, "n_samples", None)
        return None if window is not None and len(samples) <= window else at
    return None if hasattr(extractor, "max_length") else len(samples)


def _has_one_size(processor: Any) -> bool:
    """Whether every picture becomes one size."""
    size, crop = (_keys(getattr(processor, name, None)) for name in ("size", "crop_size"))
    if getattr(processor, "do_center_crop", False) and {"height", "width"} <= crop:
        return True
    kept = getattr(processor, "keep_aspect_ratio", False)  # DPT's
    return bool(getattr(processor, "do_resize", False)) and {"height", "width"} <= size and not kept


def _keys(size: Any) -> set[str]:
    return {key for key, value in dict(size).items() if value is not None} if size else set()


def parameters_of(task: Task, asked: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for, in the pipeline's words.

    Args:
        task: The task.
        asked: The parameters, which are known to be the task's.
    """
    parameters = dict(asked)
    if task.name in LABELS_INSIDE:
        parameters.pop("candidate_labels", None)
    if "stop" in parameters:
        parameters["stop_sequence"] = parameters.pop("stop")
    if task.nested:
        generate = {name: parameters.pop(name) for name in GENERATION & parameters.keys()}
        if generate:
            parameters["generate_kwargs"] = generate
    return parameters
