"""``mar run``: run an archive on inputs."""

from __future__ import annotations

import copy
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any

import typer

from mar_core.cli import options

INPUTS, OUTPUT, HOW, LOOK = "Inputs", "Output", "How to run", "Look closer"


def _option(panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, show_default=False, **more)


WORDS = typer.Argument(
    metavar="[ARCHIVE] INPUT...",
    help="The archive (`.mar`, `.tar.gz`, or a folder that holds an unpacked one), then the "
    "inputs: files, folders, patterns, URLs, `@list.txt`, and `-` for standard input.",
    show_default=False,
)

INCLUDE = _option(
    INPUTS,
    metavar="PATTERN",
    help="Take only these files from folders: `'*.jpg'`. May be repeated.",
)
COLUMN = _option(
    INPUTS, metavar="NAME", help="The column of a CSV, Parquet or JSON row to send, as `data`."
)
FIELD = _option(
    INPUTS,
    "-F",
    "--form",
    metavar="NAME=VALUE",
    help="Send one form, as curl does: `-F name=value`, `-F 'image=@x.png;type=image/png'`. "
    "May be repeated.",
)
UPLOAD = _option(
    INPUTS,
    "-T",
    "--upload-file",
    metavar="FILE",
    help="Send a file as curl does: its bytes, whatever it is. May be repeated: one request each.",
)
DATA = _option(
    INPUTS,
    "-d",
    "--data",
    metavar="TEXT|@FILE",
    help="Send one body, as curl does: a form, or what `-H 'content-type: …'` says. May be "
    "repeated.",
)
DATA_BINARY = _option(
    INPUTS,
    "--data-binary",
    metavar="TEXT|@FILE",
    help="The same, the file's line ends kept.",
)
KEEP = _option(
    INPUTS,
    metavar="COLUMN",
    help="Carry this column of a CSV, Parquet or JSON row along into the results. May be repeated.",
)
LINES = _option(
    INPUTS,
    "--lines",
    help="Send each line of a file as a text. Tables, JSON and archives are read as ever.",
)
RAW = _option(INPUTS, "--raw", help="Send everything as bytes, rows of JSON lines and CSV, too.")
HEADER = _option(
    INPUTS,
    "-H",
    "--header",
    metavar="'NAME: VALUE'",
    help="A header of every request, as curl has it; `content-type` says what is sent. May be "
    "repeated.",
)
CONTENT_TYPE = _option(
    INPUTS,
    metavar="TYPE",
    help="What every input is, in place of what its ending says; a file of rows is then one "
    "request.",
)
ENVELOPE = _option(
    INPUTS,
    metavar="NAME",
    help="The request envelope to unwrap: `json`, `kserve`, `kservev2` or `body`.",
)
MAX_INPUT_SIZE = _option(
    INPUTS,
    metavar="SIZE",
    help="The most that one input may take in memory, such as `2G`; 256M by default. A larger one "
    "fails alone.",
)
LIMIT = _option(INPUTS, metavar="N", min=0, help="Run the first N inputs only.")

OUTPUT_FILE = _option(
    OUTPUT,
    "--output",
    "-o",
    metavar="FILE",
    help="Write results here: `.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet`, `.html` (a "
    "report for people), or what a plugin writes. Without it they are a table on a terminal, and "
    "JSON lines in a pipe.",
)
OUTPUT_DIR = _option(
    OUTPUT,
    metavar="FOLDER",
    help="Put bytes, pictures and tensors here, each in a file, with a pointer in the row.",
)
RESUME = _option(
    OUTPUT, "--resume", help="Go on with an interrupted `--output`: nothing twice, nothing missing."
)
FORCE = _option(
    OUTPUT,
    "--force",
    help="Replace an `--output` that mar did not write, or that holds an interrupted run.",
)
FLAT = _option(
    OUTPUT,
    "--flat",
    help="In a `.csv`, `.tsv` or `.parquet`: a typed column for each value, such as `label`, "
    "`score`, `box_0`; a found object has a row of its own.",
)
TRUTH = _option(
    OUTPUT,
    metavar="LABELS.csv|COLUMN|folder",
    help="What the inputs really are: a table of files and labels, a column of the inputs, or the "
    "name of their folder. Rows carry it as `truth`; the report and the summary say how often the "
    "model is right.",
)
TOP = _option(OUTPUT, metavar="N", min=1, help="Keep the N best labels or found objects only.")
UNORDERED = _option(OUTPUT, "--unordered", help="Give results as they come.")
JSON = _option(
    OUTPUT,
    "--json",
    help="JSON lines, also on a terminal, with the status, content type and headers that the "
    "handler set.",
)
QUIET = _option(OUTPUT, "--quiet", "-q", help="No progress and no summary.")

DEVICE = _option(
    HOW, metavar="DEVICE", help="`cpu`, `cuda`, `cuda:1`, `mps`; the best there is by default."
)
BATCH_SIZE = _option(
    HOW,
    metavar="N|auto",
    help="Inputs in a batch; `auto` finds the fastest. By default the archive's `batchSize`, or "
    "else 1.",
)
WORKERS = _option(
    HOW,
    metavar="N",
    min=0,
    help="Run in N worker processes, each with its own handler; by default in one, or one on each "
    "GPU.",
)
TIMEOUT = _option(
    HOW,
    metavar="SECONDS",
    min=0.001,
    help="Give a batch so long, then stop its worker; its inputs fail and the run goes on.",
)
FAIL_FAST = _option(HOW, "--fail-fast", help="Stop at the first failure.")
ENGINE = _option(HOW, metavar="NAME", help="Who runs it: `local`, or one that a plugin offers.")
ENGINE_OPTION = _option(
    HOW,
    metavar="NAME=VALUE",
    help="An option of the engine's own; `--NAME VALUE` behind `--engine` does the same. "
    "`mar plugins --check` lists them.",
)
NO_PIXEL_LIMIT = _option(
    HOW, "--no-pixel-limit", help="Take pictures however large they say they are."
)
METRICS_CONFIG = _option(
    HOW,
    metavar="FILE",
    help="Which metrics handlers may ask for, in TorchServe's format; by default the file that "
    "`TS_METRICS_CONFIG` names.",
)

EXPLAIN = _option(LOOK, "--explain", help="Explanations in place of predictions.")
DRY_RUN = _option(
    LOOK, "--dry-run", help="Say what would run: handler, environment, device, inputs found."
)
IN_PROCESS = _option(
    LOOK,
    "--in-process",
    help="Run without a worker process, for debuggers: `breakpoint()` has the terminal.",
)
PROFILE = _option(
    LOOK, metavar="FOLDER", help="Write PyTorch's profile: a trace for a viewer, and a table."
)
WATCH = _option(LOOK, "--watch", help="Run again whenever a source file or input changes.")
VERBOSE = _option(LOOK, "--verbose", help="Show the handler's own traceback at each failure.")


def _how(option: Any) -> Any:
    """An option of several commands in this one's panel."""
    changed = copy.copy(option)
    changed.rich_help_panel = HOW
    return changed


ENV, ALLOW_BUILD, OFFLINE = map(_how, (options.ENV, options.ALLOW_BUILD, options.OFFLINE))


def _instead(option: Any) -> Any:
    """An option of ``mar archive`` that here takes the place of an archive."""
    changed = copy.copy(option)
    changed.rich_help_panel = "In place of an archive"
    changed.show_default = False
    return changed


HANDLER = _instead(options.HANDLER)
SERIALIZED_FILE = _instead(options.SERIALIZED_FILE)
MODEL_FILE = _instead(options.MODEL_FILE)
EXTRA_FILES = _instead(options.EXTRA_FILES)
CONFIG_FILE = _instead(options.CONFIG_FILE)
REQUIREMENTS_FILE = _instead(options.REQUIREMENTS_FILE)
MODEL_NAME = _instead(options.MODEL_NAME)
VERSION = _instead(options.VERSION)


def run(
    *,
    words: Annotated[list[str] | None, WORDS] = None,
    include: Annotated[list[str] | None, INCLUDE] = None,
    column: Annotated[str | None, COLUMN] = None,
    form: Annotated[list[str] | None, FIELD] = None,
    upload: Annotated[list[str] | None, UPLOAD] = None,
    data: Annotated[list[str] | None, DATA] = None,
    data_binary: Annotated[list[str] | None, DATA_BINARY] = None,
    header: Annotated[list[str] | None, HEADER] = None,
    content_type: Annotated[str | None, CONTENT_TYPE] = None,
    keep: Annotated[list[str] | None, KEEP] = None,
    lines: Annotated[bool, LINES] = False,
    raw: Annotated[bool, RAW] = False,
    envelope: Annotated[str | None, ENVELOPE] = None,
    max_input_size: Annotated[str | None, MAX_INPUT_SIZE] = None,
    limit: Annotated[int | None, LIMIT] = None,
    output: Annotated[Path | None, OUTPUT_FILE] = None,
    output_dir: Annotated[Path | None, OUTPUT_DIR] = None,
    resume: Annotated[bool, RESUME] = False,
    force: Annotated[bool, FORCE] = False,
    truth: Annotated[str | None, TRUTH] = None,
    flat: Annotated[bool, FLAT] = False,
    top: Annotated[int | None, TOP] = None,
    unordered: Annotated[bool, UNORDERED] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
    device: Annotated[str | None, DEVICE] = None,
    batch_size: Annotated[str | None, BATCH_SIZE] = None,
    workers: Annotated[int | None, WORKERS] = None,
    timeout: Annotated[float | None, TIMEOUT] = None,
    fail_fast: Annotated[bool, FAIL_FAST] = False,
    env: Annotated[str | None, ENV] = None,
    allow_build: Annotated[bool, ALLOW_BUILD] = False,
    offline: Annotated[bool, OFFLINE] = False,
    allow_pickle: Annotated[bool, options.ALLOW_PICKLE] = False,
    no_pixel_limit: Annotated[bool, NO_PIXEL_LIMIT] = False,
    metrics_config: Annotated[Path | None, METRICS_CONFIG] = None,
    engine: Annotated[str, ENGINE] = "local",
    engine_option: Annotated[list[str] | None, ENGINE_OPTION] = None,
    explain: Annotated[bool, EXPLAIN] = False,
    dry_run: Annotated[bool, DRY_RUN] = False,
    in_process: Annotated[bool, IN_PROCESS] = False,
    profile: Annotated[Path | None, PROFILE] = None,
    watch: Annotated[bool, WATCH] = False,
    verbose: Annotated[bool, VERBOSE] = False,
    handler: Annotated[str | None, HANDLER] = None,
    serialized_file: Annotated[Path | None, SERIALIZED_FILE] = None,
    model_file: Annotated[Path | None, MODEL_FILE] = None,
    extra_files: Annotated[list[str] | None, EXTRA_FILES] = None,
    config_file: Annotated[Path | None, CONFIG_FILE] = None,
    requirements_file: Annotated[Path | None, REQUIREMENTS_FILE] = None,
    model_name: Annotated[str | None, MODEL_NAME] = None,
    version: Annotated[str | None, VERSION] = None,
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
