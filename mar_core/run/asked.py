"""From the flags of ``mar run`` to a job."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mar_core.build import ArchiveRequest
from mar_core.errors import UsageError
from mar_core.records import ReadOptions, RunOptions
from mar_core.run.request import parse_field, parse_headers
from mar_core.run.session import Job
from mar_core.runtime import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["job_of"]

# The flags of ``mar archive`` that describe what is not packed.
UNPACKED = (
    *("model_name", "version", "model_file", "serialized_file"),
    *("extra_files", "config_file", "requirements_file"),
)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def job_of(asked: Mapping[str, Any]) -> Job:
    """What to do.

    Args:
        asked: Every flag of ``mar run`` by the name of its parameter.

    Raises:
        UsageError: There is nothing to run, nothing to run it on, or a flag makes no sense.
    """
    source, inputs = _sources(asked)
    recipe = Recipe(
        source=source,
        device=asked["device"],
        allow_pickle=asked["allow_pickle"],
        envelope=asked["envelope"],
        limit_image_pixels=not asked["no_pixel_limit"],
    )
    form = tuple(field for word in asked["form"] or () for field in parse_field(word))
    return Job(
        recipe=recipe,
        sources=inputs,
        form=form,
        reading=_reading(asked),
        running=_running(asked),
        engine=asked["engine"],
        output=asked["output"],
        resume=asked["resume"],
        details=asked["as_json"],
        limit=asked["limit"],
        quiet=asked["quiet"],
        verbose=asked["verbose"],
    )


def _sources(asked: Mapping[str, Any]) -> tuple[Path | ArchiveRequest, tuple[str, ...]]:
    """What to run, and on what: an archive is the first word, unless a handler is named."""
    words = asked["words"] or []
    source: Path | ArchiveRequest
    if asked["handler"] is not None:
        source, inputs = _request(asked), words
    elif given := [name for name in UNPACKED if asked[name]]:
        raise UsageError(
            f"--{given[0].replace('_', '-')} describes what is not packed, and needs --handler.",
            hint="For an archive, leave it out.",
        )
    elif not words:
        hint = "Try `mar run model.mar input.png`, or --handler and the flags of `mar archive`."
        raise UsageError("There is nothing to run.", hint=hint)
    else:
        source, inputs = Path(words[0]), words[1:]
    if not inputs and not asked["form"]:
        hint = "Name files, folders or patterns, or `-` for standard input."
        raise UsageError("There are no inputs.", hint=hint)
    return source, tuple(inputs)


def _request(asked: Mapping[str, Any]) -> ArchiveRequest:
    flags = {name: asked[name] for name in UNPACKED}
    flags["model_name"] = flags["model_name"] or _name_for(asked["handler"], flags["model_file"])
    flags["extra_files"] = tuple(flags["extra_files"] or ())
    return ArchiveRequest(handler=asked["handler"], allow_pickle=asked["allow_pickle"], **flags)


def _name_for(handler: str, model_file: Path | None) -> str:
    """A name for a model that nobody named."""
    stem = model_file.stem if model_file else Path(handler.partition(":")[0]).stem
    return _NOT_IN_A_NAME.sub("_", stem).lstrip("_.-") or "model"


def _reading(asked: Mapping[str, Any]) -> ReadOptions:
    return ReadOptions(
        include=tuple(asked["include"] or ()),
        column=asked["column"],
        content_type=asked["content_type"],
        headers=parse_headers(asked["header"] or ()),
    )


def _running(asked: Mapping[str, Any]) -> RunOptions:
    if asked["profile"] is not None and (asked["workers"] or asked["timeout"]):
        raise UsageError(
            "--profile looks into this process, where --workers and --timeout run nothing.",
            hint="Leave them out while you profile.",
        )
    return RunOptions(
        batch_size=_batch_size(asked["batch_size"]),
        workers=asked["workers"],
        timeout=asked["timeout"],
        unordered=asked["unordered"],
        fail_fast=asked["fail_fast"],
        explain=asked["explain"],
        profile=asked["profile"],
        address=asked["address"],
        output_dir=asked["output_dir"],
    )


def _batch_size(text: str | None) -> int | Literal["auto"] | None:
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch-size {text} is no size.", hint="Use a number, or `auto`.")
    return int(text)
