"""Hooks by which plugins offer what they have: to the server, and to each command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import typer

    from mar_core.records import Reader, Writer
    from mar_core.weights.weights_format import WeightsFormat

__all__ = [
    "mar_explain_config",
    "mar_extend_server",
    "mar_register_commands",
    "mar_register_engines",
    "mar_register_importers",
    "mar_register_readers",
    "mar_register_weights_formats",
    "mar_register_writers",
]


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


@hookspec
def mar_extend_server(server: Any) -> object | None:
    """Add paths, or anything else, to ``mar serve``.

    Called once by the server, before it listens. Each on its own; what is no
    ``mar_serve.Extension`` is left out with a warning, and so is a path that is taken. Import
    ``mar_serve`` inside: it is there where this is called.

    Args:
        server: The server, a ``mar_serve.Server``.

    Returns:
        A ``mar_serve.Extension``, whose ``routes`` are more paths, or None. Its ``openapi`` may
        describe them for ``/openapi.json``; one that describes them wrongly is left out.

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
        ...         def openapi(self):
        ...             answers = {"200": {"description": "The text, louder"}}
        ...             return {"/shout": {"post": {"summary": "Shout.", "responses": answers}}}
        ...
        ...     return Shouting(server)
    """


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
