"""The flags of ``mar run`` as they were typed, and the job that they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mar_core.build.request import ArchiveRequest
from mar_core.errors import UsageError
from mar_core.format.limits import parse_size
from mar_core.records import MAX_INPUT_SIZE, ReadOptions, RunOptions, WriteOptions
from mar_core.run.beside import TRUTH, Truth
from mar_core.run.curl import content_type_of, parse_data, parse_field, parse_headers
from mar_core.run.outputs import standard_files
from mar_core.run.readers.sources import is_url
from mar_core.run.session import STREAMS, Job
from mar_core.runtime.interpreter import OFF, environment_named
from mar_core.runtime.recipe import Recipe

__all__ = ["Asked", "job_of"]

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Every flag of ``mar run`` as it was typed; ``mar run --help`` says what each means."""

    words: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    column: str | None = None
    form: tuple[str, ...] = ()
    upload: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    data_binary: tuple[str, ...] = ()
    raw: bool = False
    lines: bool = False
    keep: tuple[str, ...] = ()
    truth: str | None = None
    flat: bool = False
    top: int | None = None
    header: tuple[str, ...] = ()
    content_type: str | None = None
    envelope: str | None = None
    max_input_size: str | None = None
    limit: int | None = None
    output: Path | None = None
    output_dir: Path | None = None
    resume: bool = False
    force: bool = False
    unordered: bool = False
    as_json: bool = False
    quiet: bool = False
    device: str | None = None
    batch_size: str | None = None
    workers: int | None = None
    timeout: float | None = None
    fail_fast: bool = False
    env: str | None = None
    allow_build: bool = False
    offline: bool = False
    allow_pickle: bool = False
    no_pixel_limit: bool = False
    metrics_config: Path | None = None
    engine: str = "local"
    engine_option: tuple[str, ...] = ()
    explain: bool = False
    dry_run: bool = False
    in_process: bool = False
    profile: Path | None = None
    watch: bool = False
    verbose: bool = False
    handler: str | None = None
    serialized_file: Path | None = None
    model_file: Path | None = None
    extra_files: tuple[str, ...] = ()
    config_file: Path | None = None
    requirements_file: Path | None = None
    model_name: str | None = None
    version: str | None = None

    def not_packed(self) -> dict[str, object]:
        """The flags of ``mar archive`` that describe what is not packed, by their names."""
        return {
            "--model-name": self.model_name,
            "--version": self.version,
            "--model-file": self.model_file,
            "--serialized-file": self.serialized_file,
            "--extra-files": self.extra_files,
            "--config-file": self.config_file,
            "--requirements-file": self.requirements_file,
        }


def job_of(asked: Asked) -> Job:
    """What to do.

    Raises:
        UsageError: There is nothing to run, nothing to run it on, or a flag makes no sense.
    """
    source, inputs = _sources(asked)
    return Job(
        recipe=_recipe(asked, source),
        sources=inputs,
        form=tuple(field for word in asked.form for field in parse_field(word)),
        data=(
            *(parse_data(word) for word in asked.data),
            *(parse_data(word, binary=True) for word in asked.data_binary),
        ),
        uploads=asked.upload,
        reading=_reading(asked),
        running=_running(asked),
        engine=asked.engine,
        output=asked.output,
        streams=standard_files(),
        resume=asked.resume,
        force=asked.force,
        writing=WriteOptions(
            details=asked.as_json,
            flat=asked.flat,
            top=asked.top,
            keep=_kept(asked, TRUTH if asked.truth is not None else None),
            explain=asked.explain,
        ),
        truth=asked.truth,
        limit=asked.limit,
        quiet=asked.quiet,
        verbose=asked.verbose,
    )


def _recipe(asked: Asked, source: Path | ArchiveRequest) -> Recipe:
    return Recipe(
        source=source,
        device=asked.device,
        allow_pickle=asked.allow_pickle,
        envelope=asked.envelope,
        limit_image_pixels=not asked.no_pixel_limit,
        env=None if asked.env is None else environment_named(asked.env),
        allow_build=asked.allow_build,
        offline=asked.offline,
        metrics_config=None if asked.metrics_config is None else asked.metrics_config.absolute(),
    )


def _sources(asked: Asked) -> tuple[Path | ArchiveRequest, tuple[str, ...]]:
    """What to run, and on what: an archive is the first word, unless a handler is named."""
    source: Path | ArchiveRequest
    if asked.handler is not None:
        if asked.words and asked.words[0].endswith(".mar") and Path(asked.words[0]).is_file():
            raise UsageError(
                f"Both {asked.words[0]} and --handler say what is run.", hint="Leave one out."
            )
        source, inputs = _request(asked, asked.handler), asked.words
    elif given := [flag for flag, value in asked.not_packed().items() if value]:
        raise UsageError(
            f"{given[0]} describes what is not packed, and needs --handler.",
            hint="For an archive, leave it out.",
        )
    elif not asked.words:
        hint = "Try `mar run model.mar input.png`, or --handler and the flags of `mar archive`."
        raise UsageError("There is nothing to run.", hint=hint)
    else:
        source, inputs = _archive(asked.words[0]), asked.words[1:]
    _check_inputs(asked, inputs)
    return source, inputs


def _archive(word: str) -> Path:
    """The archive that the first word names, unless it is something else."""
    path = Path(word)
    if is_url(word):
        web = word.startswith(("http://", "https://"))
        how = f", such as by `curl -LO {word}`" if web else ""
        raise UsageError(
            f"{word} is an address; an archive must be a file here.",
            hint=f"Fetch it first{how}, and run the file.",
        )
    if path.suffix == ".py" and path.is_file():
        raise UsageError(
            f"{word} is Python and no archive.", hint=f"Run it by `mar run --handler {word} INPUT`."
        )
    return path


def _request(asked: Asked, handler: str) -> ArchiveRequest:
    return ArchiveRequest(
        handler=handler,
        model_name=asked.model_name or _name_for(handler, asked.model_file),
        version=asked.version,
        model_file=asked.model_file,
        serialized_file=asked.serialized_file,
        extra_files=asked.extra_files,
        config_file=asked.config_file,
        requirements_file=asked.requirements_file,
        allow_pickle=asked.allow_pickle,
    )


def _name_for(handler: str, model_file: Path | None) -> str:
    """A name for a model that nobody named."""
    stem = model_file.stem if model_file else Path(handler.partition(":")[0]).stem
    return _NOT_IN_A_NAME.sub("_", stem).lstrip("_.-") or "model"


def _reading(asked: Asked) -> ReadOptions:
    headers = parse_headers(asked.header) if asked.header else {}
    said = content_type_of(headers) if headers else None
    column = None if asked.truth is None else Truth.column_of(asked.truth)
    _check_reading(asked, typed=asked.content_type is not None or said is not None, column=column)
    if asked.content_type is not None and said not in {None, asked.content_type}:
        raise UsageError(
            f"--content-type says {asked.content_type}, and -H says {said}.", hint="Leave one out."
        )
    return ReadOptions(
        include=asked.include,
        column=asked.column,
        raw=asked.raw,
        lines=asked.lines,
        keep=_kept(asked, column),
        envelope=asked.envelope,
        content_type=asked.content_type or said or None,
        headers={**({"explain": "True"} if asked.explain else {}), **headers},
        max_input_size=MAX_INPUT_SIZE
        if asked.max_input_size is None
        else parse_size(asked.max_input_size, name="--max-input-size"),
    )


def _kept(asked: Asked, more: str | None) -> tuple[str, ...]:
    """The columns to carry along, and another one where there is any."""
    return tuple(dict.fromkeys([*asked.keep, *([] if more is None else [more])]))


def _running(asked: Asked) -> RunOptions:
    _check_running(asked)
    here = "--profile" if asked.profile else "--in-process" if asked.in_process else None
    if here is not None and (asked.workers or asked.timeout):
        raise UsageError(
            f"{here} runs in this process, where --workers and --timeout do nothing.",
            hint="Leave them out, or leave it out.",
        )
    if here is not None and asked.engine != "local":
        raise UsageError(
            f"{here} runs in this process, and --engine {asked.engine} elsewhere.",
            hint="Leave one of them out.",
        )
    if here is not None and asked.env not in {None, "", OFF}:
        raise UsageError(
            f"{here} runs in mar's own environment, and --env {asked.env} (or MAR_ENV) in another.",
            hint="Say `--env off`, or leave it out.",
        )
    return RunOptions(
        batch_size=_batch_size(asked.batch_size),
        workers=0 if here is not None else asked.workers,
        timeout=asked.timeout,
        unordered=asked.unordered,
        fail_fast=asked.fail_fast,
        explain=asked.explain,
        profile=asked.profile,
        engine_options=dict(_engine_option(word) for word in asked.engine_option),
        output_dir=asked.output_dir,
    )


def _engine_option(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not name or not equals:
        raise UsageError(f"--engine-option {word!r} is not NAME=VALUE.")
    return name, value


def _batch_size(text: str | None) -> int | Literal["auto"] | None:
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch-size {text} is no size.", hint="Use a number, or `auto`.")
    return int(text)


def _check_inputs(asked: Asked, inputs: tuple[str, ...]) -> None:
    """Refuse to run nothing, and to drop one of two things that are asked for."""
    ways = {
        f"the input {inputs[0]}" if inputs else "": inputs,
        "-T": asked.upload,
        "-d": (*asked.data, *asked.data_binary),
        "-F": asked.form,
    }
    given = [way for way, words in ways.items() if words]
    if not given:
        hint = "Name files, folders or patterns, or `-` for standard input."
        raise UsageError("There are no inputs.", hint=hint)
    if len(given) > 1:
        one, other = given[:2]
        raise UsageError(
            f"Both {one} and {other} say what is sent.", hint="Run once for each of them."
        )


def _check_reading(asked: Asked, *, typed: bool, column: str | None) -> None:
    """Refuse flags of which one would be dropped in silence."""
    posted = {"-T": asked.upload, "-d": (*asked.data, *asked.data_binary), "-F": asked.form}
    one = next((flag for flag, words in posted.items() if words), None)
    _refuse_both(one, "--include", asked.include, why="takes from folders, and a request is sent")
    _refuse_both(one, "--column", asked.column, why="takes from rows, and a request is sent whole")
    _refuse_both(one, "--keep", asked.keep, why="takes from rows, and a request is sent whole")
    _refuse_both(one, "--truth", column, why="names a column, and a request is sent whole")
    _refuse_both(
        one, "--lines", asked.lines, why="sends a text a line, and a request is sent whole"
    )
    _refuse_both(one, "--raw", asked.raw, why="sends rows as bytes, and a request as it is said")
    if asked.form and asked.content_type is not None:
        raise UsageError(
            "--content-type says what a body is, and -F sends a form.",
            hint="Say it of a field: -F 'name=@file;type=…'.",
        )
    if typed and (asked.column is not None or asked.raw or asked.keep or asked.lines):
        given = {"--raw": asked.raw, "--column": asked.column, "--keep": asked.keep}
        flag = next((name for name, value in given.items() if value), "--lines")
        raise UsageError(
            f"{flag} is for rows, and a content type sends a file whole.", hint="Leave one out."
        )
    if asked.raw and asked.envelope is not None:
        raise UsageError("--raw sends bytes, and --envelope unwraps JSON.", hint="Leave one out.")


def _check_running(asked: Asked) -> None:
    """The same of the flags that say how it is run and where results go."""
    streams = any(word in STREAMS for word in asked.words)
    wrong = {
        "--force has nothing to replace without --output.": asked.force and asked.output is None,
        "--resume goes on, and --force starts afresh.": asked.resume and asked.force,
        "--dry-run runs nothing, and --watch runs again and again.": asked.dry_run and asked.watch,
        "--watch runs again, and standard input can be read once.": asked.watch and streams,
        "--watch starts afresh each time, and --resume goes on.": asked.watch and asked.resume,
    }
    for sentence, given in wrong.items():
        if given:
            raise UsageError(sentence, hint="Leave one out.")


def _refuse_both(one: str | None, flag: str, value: object, *, why: str) -> None:
    if one is not None and value:
        raise UsageError(f"{flag} {why} by {one}.", hint=f"Leave {flag} out.")
