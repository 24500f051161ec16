"""``mar serve``: the command."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any, Literal

import typer

__all__ = ["serve"]

WHAT, WHERE, HOW, SAFE, SOURCES = (
    "What to serve",
    "Where",
    "How",
    "Who may",
    "In place of an archive",
)


def _option(panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, show_default=False, **more)


def serve(  # noqa: PLR0917 - typer passes everything by name
    archives: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]ARCHIVE...",
            help="Archives (`.mar`, `.tar.gz`, folders), or names of files in the model store; "
            "`b=store/b.mar` calls it `b`.",
            show_default=False,
        ),
    ] = None,
    model_store: Annotated[
        Path | None,
        _option(WHAT, "--model-store", metavar="FOLDER", help="Where models may come from."),
    ] = None,
    models: Annotated[
        list[str] | None,
        _option(
            WHAT,
            "--models",
            metavar="all|LIST",
            help="`all` that is in the model store, or a comma list as TorchServe takes it.",
        ),
    ] = None,
    workers: Annotated[
        str | None,
        _option(
            HOW,
            "--workers",
            metavar="N|MIN-MAX",
            help="Workers of each model; `0-4` scales with the load, down to none.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, _option(HOW, "--batch-size", min=1, metavar="N", help="Requests in a batch.")
    ] = None,
    max_batch_delay: Annotated[
        int | None,
        _option(
            HOW,
            "--max-batch-delay",
            min=0,
            metavar="MS",
            help="Milliseconds that a request may wait for others.",
        ),
    ] = None,
    response_timeout: Annotated[
        int | None,
        _option(
            HOW, "--response-timeout", min=1, metavar="S", help="Seconds that a batch may take."
        ),
    ] = None,
    device: Annotated[
        str | None,
        _option(HOW, "--device", metavar="DEVICE", help="`cpu`, `cuda`, `cuda:1`, `mps`."),
    ] = None,
    envelope: Annotated[
        str | None,
        _option(HOW, "--envelope", metavar="NAME", help="`json`, `kserve`, `kservev2` or `body`."),
    ] = None,
    max_requests: Annotated[
        int,
        _option(
            HOW, "--max-requests", min=0, metavar="N", help="Replace a worker after N requests."
        ),
    ] = 0,
    max_memory: Annotated[
        str | None,
        _option(
            HOW, "--max-memory", metavar="SIZE", help="Replace a worker that uses more: `4GB`."
        ),
    ] = None,
    idle_seconds: Annotated[
        float,
        _option(
            HOW,
            "--idle-seconds",
            min=0.0,
            metavar="S",
            help="Stop a worker above the minimum that had nothing to do for so long.",
        ),
    ] = 60.0,
    watch: Annotated[
        bool, _option(HOW, "--watch", help="Load again when a file is saved.")
    ] = False,
    grace: Annotated[
        float,
        _option(
            HOW, "--grace", min=0.0, metavar="S", help="Seconds for what was taken, at the end."
        ),
    ] = 30.0,
    host: Annotated[
        str | None,
        _option(
            WHERE, "--host", metavar="HOST", help="Listen on this address; `127.0.0.1` by default."
        ),
    ] = None,
    port: Annotated[
        int,
        _option(
            WHERE, "--port", min=0, max=65535, metavar="N", help="For predictions; 8080 by default."
        ),
    ] = 8080,
    management_host: Annotated[
        str, _option(WHERE, "--management-host", metavar="HOST", help="`127.0.0.1` by default.")
    ] = "127.0.0.1",
    management_port: Annotated[
        int,
        _option(
            WHERE,
            "--management-port",
            min=0,
            max=65535,
            metavar="N",
            help="For management; 8081 by default. The inference port puts both on one address.",
        ),
    ] = 8081,
    metrics_host: Annotated[
        str, _option(WHERE, "--metrics-host", metavar="HOST", help="`127.0.0.1` by default.")
    ] = "127.0.0.1",
    metrics_port: Annotated[
        int,
        _option(
            WHERE,
            "--metrics-port",
            min=0,
            max=65535,
            metavar="N",
            help="For metrics; 8082 by default.",
        ),
    ] = 8082,
    log: Annotated[
        Literal["text", "json"],
        _option(WHERE, "--log", metavar="text|json", help="`json`: JSON lines."),
    ] = "text",
    access_log: Annotated[
        bool, _option(WHERE, "--access-log", help="Log each request, too.")
    ] = False,
    tokens: Annotated[
        bool | None,
        _option(
            SAFE,
            "--tokens/--no-tokens",
            help="Ask for the tokens of `key_file.json`; by default "
            "where an address is not this machine's own.",
        ),
    ] = None,
    enable_model_api: Annotated[
        bool,
        _option(SAFE, "--enable-model-api", help="Let clients register, upload and remove models."),
    ] = False,
    allowed_url: Annotated[
        list[str] | None,
        _option(
            SAFE,
            "--allowed-url",
            metavar="PATTERN",
            help="A pattern of URLs that models may come from. May be repeated.",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        _option(
            SAFE,
            "--allowed-host",
            metavar="NAME",
            help="A name that this server is called by, besides the machine's. May be repeated.",
        ),
    ] = None,
    cors: Annotated[
        str | None,
        _option(
            SAFE,
            "--cors",
            metavar="ORIGIN",
            help="Let pages of this origin send requests; `*` for all.",
        ),
    ] = None,
    max_request_size: Annotated[
        int,
        _option(
            SAFE,
            "--max-request-size",
            min=1,
            metavar="BYTES",
            help="Bytes of a body; 6553500 by default.",
        ),
    ] = 6_553_500,
    slow_client: Annotated[
        float,
        _option(
            SAFE,
            "--slow-client",
            min=0.1,
            metavar="S",
            help="Seconds that a client may take for its headers, and for its body; 60 by default.",
        ),
    ] = 60.0,
    env: Annotated[
        str | None,
        _option(
            HOW,
            "--env",
            envvar="MAR_ENV",
            metavar="auto|off|FOLDER",
            help="Run each model in the environment that its archive brings (`auto`), in the "
            "server's own (`off`), or all in a virtual environment of yours.",
        ),
    ] = None,
    offline: Annotated[
        bool,
        _option(HOW, "--offline", help="Make environments of what uv has cached."),
    ] = False,
    allow_build: Annotated[
        bool,
        _option(
            SAFE,
            "--allow-build",
            help="Take packages that have no wheels for this machine too: building them runs "
            "their code.",
        ),
    ] = False,
    allow_pickle: Annotated[
        bool,
        _option(
            SAFE, "--allow-pickle", "--trust", help="Load weights that can run code when loaded."
        ),
    ] = False,
    handler: Annotated[
        str | None,
        _option(SOURCES, "--handler", metavar="HANDLER", help="As `mar archive` takes it."),
    ] = None,
    model_file: Annotated[
        Path | None, _option(SOURCES, "--model-file", metavar="FILE", help="Likewise.")
    ] = None,
    serialized_file: Annotated[
        Path | None, _option(SOURCES, "--serialized-file", metavar="FILE", help="Likewise.")
    ] = None,
    extra_files: Annotated[
        list[str] | None, _option(SOURCES, "--extra-files", metavar="FILES", help="Likewise.")
    ] = None,
    config_file: Annotated[
        Path | None, _option(SOURCES, "--config-file", "-c", metavar="FILE", help="Likewise.")
    ] = None,
    model_name: Annotated[
        str | None,
        _option(SOURCES, "--model-name", metavar="NAME", help="Likewise; `model` by default."),
    ] = None,
) -> None:
    """Serve model archives over HTTP.

    Answers on http://127.0.0.1:8080 with the APIs of TorchServe, KServe, SageMaker and Vertex, and
    shows a page to try the models.

    **Examples:**

    `mar serve mnist.mar`

    `mar serve a.mar b=store/b.mar --workers 2 --batch-size 32 --max-batch-delay 5`

    `mar serve --model-store store/ --models all`

    `mar serve --handler h.py --model-file m.py --serialized-file w.pt --watch`
    """
    from mar_serve.asked import Asked, config_of
    from mar_serve.life import run

    asked = Asked(
        archives=tuple(archives or ()), model_store=model_store, models=tuple(models or ()),
        workers=workers, batch_size=batch_size, max_batch_delay=max_batch_delay,
        response_timeout=response_timeout, device=device, envelope=envelope,
        max_requests=max_requests, max_memory=max_memory, idle_seconds=idle_seconds, watch=watch,
        grace=grace, host=host, port=port, management_host=management_host,
        management_port=management_port, metrics_host=metrics_host, metrics_port=metrics_port,
        log=log, access_log=access_log, tokens=tokens, enable_model_api=enable_model_api,
        allowed_url=tuple(allowed_url or ()), allowed_host=tuple(allowed_host or ()), cors=cors,
        max_request_size=max_request_size, slow_client=slow_client, env=env, offline=offline,
        allow_build=allow_build, allow_pickle=allow_pickle, handler=handler, model_file=model_file,
        serialized_file=serialized_file, extra_files=tuple(extra_files or ()),
        config_file=config_file, model_name=model_name,
    )  # fmt: skip
    run(config_of(asked))
