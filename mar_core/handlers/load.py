"""From a manifest to its handler: every form that TorchServe takes, and installed handlers."""

from __future__ import annotations

import functools
import importlib
import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mar_core.errors import HandlerError
from mar_core.handlers.blame import Blame
from mar_core.handlers.code import ArchiveCode
from mar_core.handlers.lookup import FoundHandler, look_up, why_absent
from mar_core.text import suggestion
from mar_core.ts import compat
from mar_core.ts.adapter import LoopThread, is_staged, stages_independent
from mar_core.ts.context import read_config
from mar_core.ts.continuous_batching import continuing, one_step
from mar_core.ts.envelopes import find_envelope
from mar_core.ts.util import list_classes_from_module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mar_core.format.manifest import Manifest
    from mar_core.handlers.lookup import FoundHandler
    from mar_core.handlers.own_process import OwnProcess
    from mar_core.ts.context import Context

__all__ = ["LoadedHandler", "choose", "load_handler"]

DEFAULT = "handle"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedHandler:
    """A handler, imported and made, not yet initialized.

    Attributes:
        name: The handler as the manifest names it.
        instance: The handler's object, or its function.
        entry: Answers a batch: takes the requests and the context.
        initialize: Takes the context once, before the first batch; None where there is nothing to
            do. It runs with the archive's folder as the current one, as TorchServe's workers do.
        staged: Whether ``handle`` is ``BaseHandler``'s own, so that preprocess, inference and
            postprocess may be driven one by one.
        independent: Whether its stages may work on different batches at once.
        by_length: Whether it works faster on inputs of one length.
        continuous: Whether it is asked step by step, and keeps a state for each request by its id.
        distribution: The distribution that ships it, or None when the archive does.
        version: That distribution's version, or None.
        code: The archive's modules; its ``active`` surrounds every call of the handler.
        loop: Runs the handler's coroutines.
    """

    name: str
    instance: Any
    entry: Callable[[Any, Context], Any]
    initialize: Callable[[Context], Any] | None
    staged: bool
    independent: bool
    by_length: bool
    continuous: bool
    distribution: str | None
    version: str | None
    code: ArchiveCode | OwnProcess
    loop: LoopThread

    def close(self) -> None:
        """Let go of the archive's modules and of the handler's event loop."""
        self.loop.close()
        self.code.close()


def load_handler(
    manifest: Manifest,
    model_dir: Path,
    *,
    envelope: str | None = None,
    code: ArchiveCode | OwnProcess | None = None,
    config: Mapping[str, Any] | None = None,
    steps: bool = False,
) -> LoadedHandler:
    """Import the handler of an unpacked archive.

    Args:
        manifest: The archive's manifest. Its handler is a file of the archive (``h`` or ``h.py``),
            one with an entry (``h:func``, ``h.py:Class``), a registered name, or
            ``package.module:Class`` of an installed package. A file of the archive comes first.
        model_dir: The folder that holds its members.
        envelope: Unwraps requests and wraps results; ``body``, ``json``, ``kserve``, ``kservev2``.
        code: The archive's code, where this process is its own; by default it is kept apart from
            other archives'.
        config: The archive's model-config.yaml, where it has been read already.
        steps: With ``continuousBatching``, answer one step of each request at a call.

    Raises:
        HandlerError: It cannot be found, imported or made; the sentence says why.
        PluginError: It is registered twice, or its package cannot be imported.
        UsageError: There is no such envelope.
    """
    compat.install_finder()
    if code is None:
        code = ArchiveCode(model_dir, manifest.model_name or "model")
    try:
        with code.active(), code.in_folder():
            return _load(manifest, code, envelope, _config(manifest, code, config), steps=steps)
    except BaseException:
        code.close()
        raise


def _load(
    manifest: Manifest,
    code: ArchiveCode | OwnProcess,
    envelope: str | None,
    config: Mapping[str, Any],
    *,
    steps: bool,
) -> LoadedHandler:
    found = _find(manifest, code)
    shipped = found.registered
    blame = Blame(
        name=found.name,
        code=code,
        manifest=manifest,
        distribution=shipped.distribution if shipped else None,
    )
    with blame.loading():
        chosen = choose(found, _import(found, code))
        is_class = inspect.isclass(chosen)
        instance = chosen() if is_class else chosen
    entry = _handle_of(instance, found) if is_class else instance
    # A function is called without data once, in place of initialize.
    initialize = (
        getattr(instance, "initialize", None) if is_class else functools.partial(entry, None)
    )
    continuous = config.get("continuousBatching") is True
    staged = envelope is None and not continuous and is_staged(instance)
    loop = LoopThread()
    answer = loop.completing(entry)
    if continuous:
        answer = one_step(answer) if steps else continuing(answer)
    return LoadedHandler(
        name=found.name,
        instance=instance,
        entry=answer if envelope is None else find_envelope(envelope)(answer).handle,
        initialize=_surrounded(loop.completing(initialize), code, blame) if initialize else None,
        staged=staged,
        independent=staged and stages_independent(type(instance)),
        by_length=getattr(instance, "bucket_by_length", False) is True,
        continuous=continuous,
        distribution=blame.distribution,
        version=shipped.version if shipped else None,
        code=code,
        loop=loop,
    )


def _find(manifest: Manifest, code: ArchiveCode | OwnProcess) -> FoundHandler:
    found = look_up(manifest.handler, code) if manifest.handler else None
    if found is None:
        raise why_absent(manifest, code).error(manifest.handler)
    return found


def _import(found: FoundHandler, code: ArchiveCode | OwnProcess) -> Any:
    """The module; for a registered handler what its entry point names, as a rule a class."""
    if found.registered is not None:
        return found.registered.load()
    if found.member is not None:
        return code.import_module(found.module)
    return importlib.import_module(found.module)


def _config(
    manifest: Manifest, code: ArchiveCode | OwnProcess, config: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    if config is not None or not manifest.config_file:
        return config or {}
    return read_config(code.model_dir / manifest.config_file)


def _handle_of(instance: Any, found: FoundHandler) -> Callable[..., Any]:
    handle: Callable[..., Any] | None = getattr(instance, "handle", None)
    if not callable(handle):
        raise HandlerError(
            f"{type(instance).__name__} of the handler {found.name} has no method handle.",
            stage="load",
            handler=found.name,
            hint="Give it `def handle(self, data, context)`, or let it inherit from BaseHandler.",
        )
    return handle


def _surrounded(
    initialize: Callable[..., Any], code: ArchiveCode | OwnProcess, blame: Blame
) -> Callable[[Context], Any]:
    def call(context: Context) -> Any:
        with code.active(), code.in_folder(), blame.initializing():
            return initialize(context)

    return call


def choose(found: FoundHandler, loaded: Any) -> Callable[..., Any] | type:
    """The function or class that handles requests.

    The entry that was named, else the function ``handle``, else the one class. Where there are
    several classes, the only one with a ``handle``, or the one that all others lead up to.

    Args:
        found: Where the handler was found.
        loaded: What was imported from there: a module, or already a function or class.

    Raises:
        HandlerError: There is none, or it is not clear which.
    """
    if not isinstance(loaded, ModuleType):
        return _callable(found, loaded)
    entry: Callable[..., Any] | None = getattr(loaded, found.entry or DEFAULT, None)
    if callable(entry):
        return entry
    classes = list_classes_from_module(loaded)
    candidates = classes if len(classes) == 1 else _leaves(classes)
    if len(candidates) == 1:
        # As in TorchServe, also where another entry was named: ``service:handle`` of a class.
        return candidates[0]
    raise _unclear(found, loaded, classes)


def _callable(found: FoundHandler, loaded: Any) -> Callable[..., Any]:
    if callable(loaded):
        function: Callable[..., Any] = loaded
        return function
    raise HandlerError(
        f"The handler {found.name!r} is a {type(loaded).__name__}, where a class or a function "
        "is expected.",
        stage="load",
        handler=found.name,
    )


def _leaves(classes: list[type]) -> list[type]:
    """The classes that handle requests and that no other such class inherits from."""
    able = [cls for cls in classes if callable(getattr(cls, DEFAULT, None))]
    return [cls for cls in able if not any(cls in other.__mro__[1:] for other in able)]


def _unclear(found: FoundHandler, module: ModuleType, classes: list[type]) -> HandlerError:
    functions = [
        name
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__ and not name.startswith("_")
    ]
    names = [*(cls.__name__ for cls in classes), *functions]
    file = f"{found.module}.py" if found.member else found.module
    if found.entry:
        message = f"{file} has no {found.entry!r}; it defines {', '.join(names) or 'nothing'}."
        hint = suggestion(found.entry, names, f"{found.module}:{{}}") or None
    elif len(classes) > 1:
        listed = ", ".join(cls.__name__ for cls in classes)
        message = (
            f"{file} defines several classes and it is not clear which is the handler: {listed}."
        )
        hint = f"Name it: `--handler {file}:{classes[-1].__name__}`."
    else:
        message = f"{file} defines no class and no function {DEFAULT!r}."
        hint = (
            f"Name the function: `--handler {file}:{functions[0]}`."
            if functions
            else "Define `def handle(data, context)`, or a class that inherits from BaseHandler."
        )
    return HandlerError(message, stage="load", handler=found.name, hint=hint)
