"""How long texts are, and how much a model takes and writes: what it has no position for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core import bad_item
from mar_transformers.tasks import GENERATION, Takes

if TYPE_CHECKING:
    from mar_transformers.loading import Loaded
    from mar_transformers.prepared import Prepared

__all__ = ["check_lengths", "check_written", "length_of", "room_of"]

# They cut long texts themselves, or read them in windows.
_ANY_LENGTH = frozenset({"question-answering", "token-classification", "zero-shot-classification"})


def length_of(pipe: Any, value: Any) -> int:
    """How many tokens an item has."""
    if isinstance(value, str):
        return len(pipe.tokenizer(value)["input_ids"])
    if isinstance(value, dict):
        return sum(len(pipe.tokenizer(text)["input_ids"]) for text in value.values())
    if getattr(pipe.tokenizer, "chat_template", None):
        words = pipe.tokenizer.apply_chat_template(
            value, add_generation_prompt=True, tokenize=False
        )
        return length_of(pipe, words)
    return sum(length_of(pipe, str(message["content"])) for message in value)


def _positions(loaded: Loaded, *, writes: bool = False) -> int | None:
    """How many tokens the model has positions for; None where it has no such number."""
    config = loaded.pipe.model.config.get_text_config(decoder=writes)
    found = getattr(config, "max_position_embeddings", None)
    return found if type(found) is int and found > 0 else None


def check_lengths(loaded: Loaded, lengths: list[int], asked: Prepared, *, alone: bool) -> None:
    """Refuse what has no position in the model: on a GPU it would end the process.

    Args:
        loaded: The pipeline.
        lengths: How many tokens the items have.
        asked: What is asked of them.
        alone: Whether they are all of one request.

    Raises:
        PredictionException: An item of the one request is too long.
        ValueError: An item of one of several requests is.
    """
    task, most = loaded.task, _positions(loaded)
    if not most or task.name in _ANY_LENGTH or asked.parameters.get("truncation"):
        return
    longest = max(lengths)
    more = 0
    if task.takes is Takes.PROMPT:
        more = _wanted(asked.parameters, longest) or 1
    elif task.model is None:  # positions of RoBERTa's begin with 2: the tokenizer knows
        most = min(most, loaded.pipe.tokenizer.model_max_length)
    if longest + more > most and alone:
        also = f" and asks for {more} more" if more > 1 else ""
        cut = (
            "" if task.takes is Takes.PROMPT else "; send the parameter truncation: true to cut it"
        )
        raise bad_item(
            f"the text has {longest} tokens{also}, and the model takes {most} in all{cut}"
        )
    if longest + more > most:
        raise ValueError(f"a text of the batch has {longest} tokens; the model takes {most}")


def _wanted(parameters: dict[str, Any], before: int) -> int | None:
    """How many tokens a request asks to be written behind so many; None where it does not say."""
    asked = [parameters.get(name) for name in ("max_new_tokens", "min_new_tokens")]
    whole = [parameters.get(name) for name in ("max_length", "min_length")]
    asked += [number - before for number in whole if type(number) is int]
    return max((number for number in asked if type(number) is int), default=None)


def check_written(loaded: Loaded, asked: Prepared) -> None:
    """Refuse more tokens than a model can write that writes into a text of its own.

    Raises:
        PredictionException: The request asks for more.
    """
    if loaded.task.takes is Takes.PROMPT or not loaded.task.parameters & GENERATION:
        return
    generate = asked.parameters.get("generate_kwargs", asked.parameters)
    most, wanted = _positions(loaded, writes=True), _wanted(generate, 0)
    if most is not None and wanted is not None and wanted > most:
        raise bad_item(f"it asks for {wanted} tokens, and the model writes {most} at most")


def room_of(loaded: Loaded, before: int, asked: Prepared) -> int | None:
    """How many tokens can be written behind a prompt, where that is less than transformers writes.

    Args:
        loaded: The pipeline.
        before: How many tokens the prompt has.
        asked: The request.

    Returns:
        The number; None where the request says how many it wants, or there is room enough.
    """
    most = _positions(loaded)
    if loaded.task.takes is not Takes.PROMPT or most is None:
        return None
    if _SAYING & asked.parameters.keys() or before + _usual(loaded, before) <= most:
        return None
    return most - before


def _usual(loaded: Loaded, before: int) -> int:
    """How many tokens are written where a request does not say."""
    pipe = loaded.pipe
    usual = getattr(pipe, "generation_config", getattr(pipe, "_default_generation_config", None))
    for config in (pipe.model.generation_config, usual):
        said = {} if config is None else config.to_diff_dict()
        if type(said.get("max_new_tokens")) is int:
            return int(said["max_new_tokens"])
        if type(said.get("max_length")) is int:
            return max(int(said["max_length"]) - before, 0)
    return _LEAST


_SAYING = {"max_length", "max_new_tokens", "min_length", "min_new_tokens"}
# What transformers writes where nobody says anything.
_LEAST = 20
