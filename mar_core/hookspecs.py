"""The hooks: every place where a plugin can take part, in the order in which they are called.

A plugin is a module or an object whose functions carry ``@mar_core.hookimpl``, named by an entry
point in the group ``mar.plugins``. It may take fewer arguments than listed, none with a default.

Three ways of being called:

- *first result*: implementations are tried, the last registered first, until one returns something
  other than None. One marked ``wrapper=True`` surrounds the others.
- *each on its own*: every one runs, all results count; one that raises harms no other. No wrappers.
- *observing*: like each on its own, results ignored. One that raises is warned of once and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import typer

    from mar_core.build import ArchiveRequest, Imported
    from mar_core.findings import Finding
    from mar_core.format import Archive, ExtraFile
    from mar_core.format.manifest import Manifest
    from mar_core.records import Reader, RunSummary, Writer
    from mar_core.ts.context import Context
    from mar_core.ts.metrics import Metric
    from mar_core.weights.weights_format import ModelSource, WeightsFormat

__all__ = ["EACH_HOOKS", "PROJECT", "hookimpl", "hookspec"]

PROJECT = "mar"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- archive -------------------------------------------------------------------------------------
@hookspec(firstresult=True)
def mar_import(source: Path, request: ArchiveRequest, folder: Path) -> Imported | None:
    """Say what a source is, and what an archive of it holds.

    Called by ``mar archive --from SOURCE``, before anything is planned. First result; an importer
    for a special case of what another takes is marked ``@hookimpl(tryfirst=True)``. Must not
    import, unpickle or run anything of the source.

    Args:
        source: The file or folder; of a ``.tar.gz``, the folder that it is unpacked to. Its files
            are regular ones and its links stay inside; what they hold is anybody's.
        request: What the flags said; ``handler`` is ``""`` and others None where they said nothing.
        folder: An empty folder, there until the archive is written, for files to generate.

    Returns:
        What it is, the request with what it adds, and why; None where it is another's. What the
        user said by flags, or in a model-config.yaml, wins over it.

    Example:
        >>> @hookimpl
        ... def mar_import(source, request):
        ...     if not (source / "acme.json").is_file():
        ...         return None
        ...     request = dataclasses.replace(request, handler="acme", extra_files=(source,))
        ...     return Imported(what="a model of Acme", request=request)
    """


@hookspec
def mar_collect_files(request: ArchiveRequest) -> Iterable[ExtraFile] | None:
    """Add files to an archive that is being built.

    Called once by ``mar archive``, before validation. Each on its own; one that raises stops the
    archive with an error that names it.

    Args:
        request: What the user asked for.

    Returns:
        The files to add, or None. A name that is taken by another file is an error.

    Example:
        >>> @hookimpl
        ... def mar_collect_files(request):
        ...     return [ExtraFile(name="LICENSE", content=Path("LICENSE"))]
    """


@hookspec
def mar_validate_archive(archive: Archive, findings: Sequence[Finding]) -> Iterable[Finding] | None:
    """Look at an archive and say what is wrong with it.

    Called by ``mar archive`` before anything is written, by ``mar validate``, and by ``mar run``
    before anything of the archive is imported. Each on its own: a plugin that raises becomes the
    finding ``MAR-X001``. Must not import, unpickle or run anything of the archive.

    Args:
        archive: The archive, open for bounded reading; possibly not yet written.
        findings: What is known of it so far: what opening it found, what the rules of mar found,
            which are asked first, and what the plugins found that were asked before.

    Returns:
        Findings; one of severity error refuses the archive.

    Example:
        >>> @hookimpl
        ... def mar_validate_archive(archive):
        ...     if "LICENSE" not in archive.members:
        ...         yield Finding(code="ACME-001", message="There is no LICENSE.")
    """


@hookspec
def mar_archive_written(path: Path, manifest: Manifest) -> None:
    """Know that an archive has been written.

    Called after the archive has its final name. Observing.

    Args:
        path: The archive, or the folder of a ``no-archive``.
        manifest: Its manifest, with the digests of its members.

    Example:
        >>> @hookimpl
        ... def mar_archive_written(path, manifest):
        ...     Path(f"{path}.digest").write_text(manifest.digest)
    """


# --- life cycle ----------------------------------------------------------------------------------
@hookspec(firstresult=True)
def mar_load_model(handler: Any, context: Context, source: ModelSource) -> object | None:
    """Load the model that the archive holds.

    Called by ``BaseHandler.initialize``. First result; mar's own, which asks the handler's
    ``model_from_source`` and then the format of the weights, comes last. To load a format that mar
    does not know, register the format (``mar_register_weights_formats``); this is for taking over
    what mar would load otherwise.

    Args:
        handler: The handler; ``handler.device`` and ``handler.map_location`` say where to load.
        context: The manifest, and the unpacked archive as ``system_properties["model_dir"]``.
        source: What there is to load: the weights file, its format, the network of the model file,
            the device, and whether the user trusts the archive.

    Returns:
        Something callable, as a rule a ``torch.nn.Module`` on the device in evaluation mode, or
        None to let another load it.

    Example:
        >>> @hookimpl
        ... def mar_load_model(source):
        ...     return quantized(source) if source.kind == "safetensors" else None
    """


@hookspec(firstresult=True)
def mar_initialize(handler: Any, context: Context) -> object | None:
    """Get the handler ready.

    Called once for each loaded archive. First result; the handler's own ``initialize`` is the last
    implementation. Wrap it to act before and after; return something to take it over.

    Args:
        handler: The handler's instance, or its function.
        context: The context that it is given.

    Returns:
        Anything but None ends the calls; the value is not used.

    Example:
        >>> @hookimpl(wrapper=True)
        ... def mar_initialize(handler, context):
        ...     torch.manual_seed(0)
        ...     return (yield)
    """


@hookspec(firstresult=True)
def mar_preprocess(handler: Any, data: Any, context: Context) -> object | None:
    """Turn a batch of requests into the model's input.

    Called for each batch. First result; the handler's own ``preprocess`` is the last. A handler
    that brings its own ``handle``, or is a function, has one stage only: this hands the data on.

    Args:
        handler: The handler's instance, or its function.
        data: One dict for each request, ``{"data": …}`` or ``{"body": …}`` or the form's fields.
        context: The context of this batch.

    Returns:
        The model's input. ``NO_RESULT`` stands for None.

    Example:
        >>> @hookimpl
        ... def mar_preprocess(handler, data, context):
        ...     return cache.get(digest(data))
    """


@hookspec(firstresult=True)
def mar_inference(handler: Any, data: Any, context: Context) -> object | None:
    """Run the model.

    Called for each batch. First result; the handler's own ``inference`` is the last, or the whole
    of its ``handle`` where it brings its own.

    Args:
        handler: The handler's instance, or its function.
        data: What ``mar_preprocess`` returned.
        context: The context of this batch.

    Returns:
        The model's output. ``NO_RESULT`` stands for None.

    Example:
        >>> @hookimpl(wrapper=True)
        ... def mar_inference(handler, data, context):
        ...     with torch.autocast("cuda", dtype=torch.bfloat16):
        ...         return (yield)
    """


@hookspec(firstresult=True)
def mar_postprocess(handler: Any, data: Any, context: Context) -> object | None:
    """Turn the model's output into one result for each request.

    Called for each batch. First result; the handler's own ``postprocess`` is the last.

    Args:
        handler: The handler's instance, or its function.
        data: What ``mar_inference`` returned.
        context: The context of this batch.

    Returns:
        A list with one result for each request. ``NO_RESULT`` stands for None.

    Example:
        >>> @hookimpl(wrapper=True)
        ... def mar_postprocess(handler, data, context):
        ...     return [{"result": result} for result in (yield)]
    """


@hookspec(firstresult=True)
def mar_explain(handler: Any, data: Any, raw: Any, context: Context) -> object | None:
    """Explain the model's answers.

    Called in place of inference and postprocess for batches that ask for explanations
    (``mar run --explain``). First result; the handler's own ``explain_handle`` is the last.

    Args:
        handler: The handler's instance, or its function.
        data: What ``mar_preprocess`` returned.
        raw: The requests as they came.
        context: The context of this batch.

    Returns:
        A list with one explanation for each request. ``NO_RESULT`` stands for None.

    Example:
        >>> @hookimpl
        ... def mar_explain(handler, data, raw, context):
        ...     return [saliency(handler.model, row) for row in data]
    """


@hookspec(firstresult=True)
def mar_teardown(handler: Any, context: Context) -> object | None:
    """Let go of what ``mar_initialize`` took.

    Called once when a loaded archive is closed, also after an error. First result; the handler's
    own ``teardown``, where it has one, is the last.

    Args:
        handler: The handler's instance, or its function.
        context: The context that it was given.

    Returns:
        Anything but None ends the calls; the value is not used.

    Example:
        >>> @hookimpl(wrapper=True)
        ... def mar_teardown(handler, context):
        ...     result = yield
        ...     torch.cuda.empty_cache()
        ...     return result
    """


# --- observing -----------------------------------------------------------------------------------
@hookspec
def mar_run_started(summary: RunSummary) -> None:
    """Know that a run begins.

    Called once by ``mar run``, in the process that the user started, before the first input is read
    and before worker processes are made: what is set in ``os.environ`` here, they inherit.
    Observing.

    Args:
        summary: What the run will come to; its numbers grow while it goes on.

    Example:
        >>> @hookimpl
        ... def mar_run_started(summary):
        ...     print(f"running {summary.model}")
    """


@hookspec
def mar_stage_finished(
    model: str, stage: str, seconds: float, size: int, error: BaseException | None
) -> None:
    """Know that a stage has ended.

    Called after each stage of each batch, in the process that ran it. Observing.

    Args:
        model: The model's name.
        stage: ``initialize``, ``preprocess``, ``inference``, ``postprocess``, ``explain`` or
            ``teardown``.
        seconds: How long it took, wall-clock.
        size: How many requests the batch held; 0 for ``initialize`` and ``teardown``.
        error: What it raised, or None.

    Example:
        >>> @hookimpl
        ... def mar_stage_finished(stage, seconds, size):
        ...     print(f"{stage}: {size} in {seconds:.3f} s")
    """


@hookspec
def mar_metric_recorded(model: str, metric: Metric) -> None:
    """Know that a handler recorded a metric with ``context.metrics``.

    Called for each value, in the process of the handler. Observing.

    Args:
        model: The model's name.
        metric: Its name, value, unit, dimensions, type and request id.

    Example:
        >>> @hookimpl
        ... def mar_metric_recorded(model, metric):
        ...     print(model, metric.name, metric.value, metric.unit)
    """


@hookspec
def mar_run_finished(summary: RunSummary) -> None:
    """Know that a run has ended, well or not.

    Called once by ``mar run``, in the process that the user started. Observing.

    Args:
        summary: Inputs, errors by kind, and seconds by stage.

    Example:
        >>> @hookimpl
        ... def mar_run_finished(summary):
        ...     print(f"{summary.succeeded} of {summary.total}")
    """


# --- looking -------------------------------------------------------------------------------------
@hookspec
def mar_explain_config(path: Path) -> Iterable[tuple[str, str, bool]] | None:
    """Say what each key of another server's configuration does here.

    Called by ``mar doctor --ts-config FILE``. Each on its own.

    Args:
        path: The file.

    Returns:
        For each key that is set, in order: its name, one sentence on what it does here or why it
        does nothing, and whether it does anything. None when the file is nothing of yours.

    Example:
        >>> @hookimpl
        ... def mar_explain_config(path):
        ...     return [("job_queue_size", "Requests that may wait.", True)]
    """


# --- serving -------------------------------------------------------------------------------------


@hookspec
def mar_extend_server(server: Any) -> object | None:
    """Add paths, or anything else, to ``mar serve``.

    Called once by the server, before it listens. Each on its own; what is no
    ``mar_serve.Extension`` is left out with a warning, and so is a path that is taken. Import
    ``mar_serve`` inside: it is there where this is called.

    Args:
        server: The server, a ``mar_serve.Server``.

    Returns:
        A ``mar_serve.Extension``, whose ``routes`` are more paths, or None.

    Example:
        >>> @hookimpl
        ... def mar_extend_server(server):
        ...     from mar_serve import Answer, Extension
        ...
        ...     async def shout(call):
        ...         replies = await call.ask("shouter", [{"data": (await call.json())["text"]}])
        ...         return Answer(replies[0].body, content_type=b"text/plain")
        ...
        ...     class Shouting(Extension):
        ...         def routes(self, kinds):
        ...             if "inference" in kinds:
        ...                 yield "/shout", shout, ["POST"], "inference"
        ...
        ...     return Shouting(server)
    """


# --- registering ---------------------------------------------------------------------------------
@hookspec
def mar_register_importers(register: Callable[[str], None]) -> None:
    """Say what the plugin's ``mar_import`` knows.

    Called by ``mar archive --from`` when nobody knows the source. Each on its own.

    Args:
        register: Takes what is looked for, in a few words: ``a model of Acme: acme.json``.

    Example:
        >>> @hookimpl
        ... def mar_register_importers(register):
        ...     register("a model of Acme: acme.json")
    """


@hookspec
def mar_register_commands(app: typer.Typer) -> None:
    """Add commands to ``mar``.

    Called by ``mar --help``, and for a command that mar does not have. Each on its own; one that
    another plugin has too is an error that names both, one that mar has is left out with a warning.

    Args:
        app: The application; decorate functions with ``app.command()``.

    Example:
        >>> @hookimpl
        ... def mar_register_commands(app):
        ...     app.command("hello")(lambda: print("hello"))
    """


@hookspec
def mar_register_engines(register: Callable[..., None]) -> None:
    """Offer an engine for ``mar run --engine NAME``.

    Called by ``mar run``. Each on its own; a name that is taken is an error that names both
    plugins. What is no engine is left out with a warning.

    Args:
        register: Takes the engine's name, a callable that makes the engine, and an
            ``EngineOption`` for each option that it adds to ``mar run``.

    Example:
        >>> @hookimpl
        ... def mar_register_engines(register):
        ...     where = EngineOption(name="--address", help="Where the cluster is.")
        ...     register("mine", MyEngine, where)
    """


@hookspec
def mar_register_readers(register: Callable[[Reader], None]) -> None:
    """Offer a reader for a kind of input.

    Called by ``mar run``. Each on its own. The reader registered last is asked first. What lacks
    ``accepts`` or ``read`` is left out with a warning.

    Args:
        register: Takes the reader.

    Example:
        >>> @hookimpl
        ... def mar_register_readers(register):
        ...     register(AvroReader())
    """


@hookspec
def mar_register_writers(register: Callable[[Writer], None]) -> None:
    """Offer a format that results are written in, by the ending of ``--output``.

    Called by ``mar run``. Each on its own. Two writers of one ending are an error that names both
    plugins. What is no ``mar_core.Writer``, or has no endings, is left out with a warning.

    Args:
        register: Takes the writer.

    Example:
        >>> @hookimpl
        ... def mar_register_writers(register):
        ...     register(XmlWriter())
    """


@hookspec
def mar_register_weights_formats(register: Callable[[WeightsFormat], None]) -> None:
    """Offer a format of weights: how a file of it is known, looked at and loaded.

    Called when weights are looked at for the first time in a process. Each on its own; a name that
    is taken is an error that names both plugins. The format is then first class: ``mar validate``,
    ``inspect`` and ``diff`` know it, and ``BaseHandler`` loads it.

    Args:
        register: Takes the format.

    Example:
        >>> @hookimpl
        ... def mar_register_weights_formats(register):
        ...     known = lambda file: file.head.startswith(b"GGUF")
        ...     gguf = {"name": "gguf", "title": "a GGUF model", "trust": Trust.DATA}
        ...     register(WeightsFormat(**gguf, identify=known, load=load_gguf))
    """


# Called one implementation at a time, so that one plugin cannot hurt another.
EACH_HOOKS = frozenset(
    name
    for name, value in tuple(globals().items())
    if name.startswith("mar_") and not value.mar_spec["firstresult"]
)
