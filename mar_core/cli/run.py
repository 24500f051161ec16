"""``mar run``: run an archive on inputs."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from mar_core.cli import options
from mar_core.cli import run_options as mine


def run(
    *,
    words: Annotated[list[str] | None, mine.WORDS] = None,
    include: Annotated[list[str] | None, mine.INCLUDE] = None,
    column: Annotated[str | None, mine.COLUMN] = None,
    form: Annotated[list[str] | None, mine.FIELD] = None,
    upload: Annotated[list[str] | None, mine.UPLOAD] = None,
    data: Annotated[list[str] | None, mine.DATA] = None,
    data_binary: Annotated[list[str] | None, mine.DATA_BINARY] = None,
    header: Annotated[list[str] | None, mine.HEADER] = None,
    content_type: Annotated[str | None, mine.CONTENT_TYPE] = None,
    keep: Annotated[list[str] | None, mine.KEEP] = None,
    lines: Annotated[bool, mine.LINES] = False,
    raw: Annotated[bool, mine.RAW] = False,
    envelope: Annotated[str | None, mine.ENVELOPE] = None,
    max_input_size: Annotated[str | None, mine.MAX_INPUT_SIZE] = None,
    limit: Annotated[int | None, mine.LIMIT] = None,
    output: Annotated[Path | None, mine.OUTPUT_FILE] = None,
    output_dir: Annotated[Path | None, mine.OUTPUT_DIR] = None,
    resume: Annotated[bool, mine.RESUME] = False,
    force: Annotated[bool, mine.FORCE] = False,
    truth: Annotated[str | None, mine.TRUTH] = None,
    flat: Annotated[bool, mine.FLAT] = False,
    top: Annotated[int | None, mine.TOP] = None,
    unordered: Annotated[bool, mine.UNORDERED] = False,
    as_json: Annotated[bool, mine.JSON] = False,
    quiet: Annotated[bool, mine.QUIET] = False,
    device: Annotated[str | None, mine.DEVICE] = None,
    batch_size: Annotated[str | None, mine.BATCH_SIZE] = None,
    workers: Annotated[int | None, mine.WORKERS] = None,
    timeout: Annotated[float | None, mine.TIMEOUT] = None,
    fail_fast: Annotated[bool, mine.FAIL_FAST] = False,
    env: Annotated[str | None, mine.ENV] = None,
    allow_build: Annotated[bool, mine.ALLOW_BUILD] = False,
    offline: Annotated[bool, mine.OFFLINE] = False,
    allow_pickle: Annotated[bool, options.ALLOW_PICKLE] = False,
    no_pixel_limit: Annotated[bool, mine.NO_PIXEL_LIMIT] = False,
    metrics_config: Annotated[Path | None, mine.METRICS_CONFIG] = None,
    engine: Annotated[str, mine.ENGINE] = "local",
    engine_option: Annotated[list[str] | None, mine.ENGINE_OPTION] = None,
    explain: Annotated[bool, mine.EXPLAIN] = False,
    dry_run: Annotated[bool, mine.DRY_RUN] = False,
    in_process: Annotated[bool, mine.IN_PROCESS] = False,
    profile: Annotated[Path | None, mine.PROFILE] = None,
    watch: Annotated[bool, mine.WATCH] = False,
    verbose: Annotated[bool, mine.VERBOSE] = False,
    handler: Annotated[str | None, mine.HANDLER] = None,
    serialized_file: Annotated[Path | None, mine.SERIALIZED_FILE] = None,
    model_file: Annotated[Path | None, mine.MODEL_FILE] = None,
    extra_files: Annotated[list[str] | None, mine.EXTRA_FILES] = None,
    config_file: Annotated[Path | None, mine.CONFIG_FILE] = None,
    requirements_file: Annotated[Path | None, mine.REQUIREMENTS_FILE] = None,
    model_name: Annotated[str | None, mine.MODEL_NAME] = None,
    version: Annotated[str | None, mine.VERSION] = None,
) -> None:
    """Run an archive on one input or a million.

    Every input gets one row, in order: its result, or the error that it alone had. Exits with 0, or
    1 when an input failed, or 2 when nothing could be run.

    With `--handler` and the other flags of `mar archive`, what was never packed runs from its files
    as they lie.

    **Examples:**

    `mar run mnist.mar 7.png 3.png`

    `mar run resnet.mar photos/ --include '*.jpg' --batch-size auto --output labels.jsonl`

    `mar run --handler handler.py --model-file model.py --serialized-file model.pt 7.png --watch`
    """
    from mar_core.run.command import start
    from mar_core.run.planning import Asked

    asked = Asked(
        words=tuple(words or ()), include=tuple(include or ()), column=column,
        form=tuple(form or ()), header=tuple(header or ()), content_type=content_type,
        upload=tuple(upload or ()), data=tuple(data or ()), keep=tuple(keep or ()), lines=lines,
        truth=truth, flat=flat, top=top, raw=raw, data_binary=tuple(data_binary or ()),
        envelope=envelope, max_input_size=max_input_size, limit=limit, output=output,
        output_dir=output_dir, resume=resume, force=force, unordered=unordered,
        as_json=as_json, quiet=quiet, device=device, batch_size=batch_size, workers=workers,
        timeout=timeout, fail_fast=fail_fast, allow_pickle=allow_pickle,
        no_pixel_limit=no_pixel_limit,
        engine=engine, engine_option=tuple(engine_option or ()), explain=explain, dry_run=dry_run,
        env=env, allow_build=allow_build, offline=offline,
        in_process=in_process, profile=profile, watch=watch, verbose=verbose, handler=handler,
        metrics_config=metrics_config,
        serialized_file=serialized_file, model_file=model_file,
        extra_files=tuple(extra_files or ()), config_file=config_file,
        requirements_file=requirements_file, model_name=model_name, version=version,
    )  # fmt: skip
    raise typer.Exit(start(asked))
