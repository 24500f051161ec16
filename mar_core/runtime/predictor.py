"""The predictor: an archive that is loaded and ready to answer."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from mar_core.checks.trust import needed_trust, trusts_everything
from mar_core.errors import HandlerError, InputError, MarError, UsageError
from mar_core.handlers.load import load_handler
from mar_core.plugins import get_plugins
from mar_core.records import Input
from mar_core.runtime.batch import BatchRunner
from mar_core.runtime.failures import failure_of
from mar_core.runtime.lanes import lanes_of
from mar_core.runtime.lifecycle import LifeCycle
from mar_core.runtime.prepared import prepare
from mar_core.runtime.requests import JSON, REQUEST_KEYS, decode, request_headers
from mar_core.ts.adapter import reads_by_context
from mar_core.ts.context import make_context
from mar_core.ts.device import choose_gpu_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    from mar_core.handlers.own_process import OwnProcess
    from mar_core.records import Failure, Outcome
    from mar_core.runtime.load_options import LoadOptions
    from mar_core.runtime.prepared import Prepared
    from mar_core.ts.context import Context

__all__ = ["Predictor", "as_input", "refuse_single"]


BODY = "body"


class Predictor:
    """A loaded archive.

    It may be used from several threads: batches of one predictor take turns. It pickles as its
    recipe: what unpickles it loads the archive again.

    Args:
        recipe: What to load, and how.
        prepared: The same archive, validated and unpacked already.
        code: This process's own archive; by default its modules are kept apart from others'.
        steps: Of a handler with ``continuousBatching``, answer one step at a call.

    Attributes:
        recipe: What it was made of.
        prepared: The archive, validated and unpacked.
        manifest: The archive's manifest.
        digest: The digest that names the archive.
        findings: What validation found that did not refuse the archive.
        batch_size: Requests in a batch.
    """

    def __init__(
        self,
        recipe: LoadOptions,
        *,
        prepared: Prepared | None = None,
        code: OwnProcess | None = None,
        steps: bool = False,
    ) -> None:
        self.recipe = recipe
        ready = prepare(recipe) if prepared is None else prepared
        self.prepared = ready
        self.manifest, self.findings = ready.manifest, ready.findings
        self.digest, self.name, self.batch_size = ready.digest, ready.name, ready.batch_size
        self.context = make_context(
            self.manifest,
            ready.files,
            gpu_id=choose_gpu_id(recipe.device, ready.config),
            batch_size=self.batch_size,
            limit_max_image_pixels=recipe.limit_image_pixels,
            config=ready.config,
            metrics_config=recipe.metrics_config,
        )
        self.context.system_properties["allow_pickle"] = (
            recipe.allow_pickle or trusts_everything() or needed_trust(self.findings)
        )
        self.loaded = load_handler(
            self.manifest,
            ready.files.folder,
            envelope=recipe.envelope,
            code=code,
            config=ready.config,
            steps=steps,
        )
        if not (ready.files.is_unpacked or reads_by_context(type(self.loaded.instance))):
            self.loaded.code.settle(ready.files.unpack())
        self.life = LifeCycle(self.loaded, model=self.name, installed=get_plugins())
        self._lock = threading.Lock()
        self._open = True
        self._initialize()

    def predict(
        self,
        inputs: Iterable[Any],
        *,
        explain: bool = False,
        on_error: Literal["raise", "return"] = "raise",
    ) -> list[Any]:
        """Answer requests.

        Args:
            inputs: For each request one of

                - a dict with the key ``data`` or ``body``: the request as the handler sees it;
                - a ``pathlib.Path``: the file's content as ``body``: of a ``.json`` the parsed
                  document, of anything else a ``bytearray``;
                - ``bytes`` or ``bytearray``: ``body`` as ``bytearray``;
                - ``str``: ``body`` as text, never a file's name;
                - a PIL image: ``body`` as the bytes of a PNG;
                - an array or a tensor: ``body`` as nested lists, as JSON would have brought it;
                - any other JSON value: ``body``.
            explain: Ask for explanations in place of predictions.
            on_error: ``raise``, or ``return`` a ``Failure`` in the place of a result.

        Returns:
            What the handler returned for each request, in order.

        Raises:
            HandlerError: A request failed and ``on_error`` is ``raise``.
            UsageError: ``inputs`` is one input, and no list of them.
            ArchiveError: The model is mapped from an archive that somebody has written to.
        """
        refuse_single(inputs)
        requests = [as_input(value, name=str(at)) for at, value in enumerate(inputs)]
        results: list[Any] = []
        for outcome in self.run(requests, explain=explain):
            if outcome.failure is not None and on_error == "raise":
                raise self._error(outcome.id, outcome.failure)
            results.append(outcome.result if outcome.failure is None else outcome.failure)
        return results

    def run(self, inputs: Sequence[Input], *, explain: bool = False) -> list[Outcome]:
        """Answer inputs, in batches of ``batch_size``.

        Args:
            inputs: The inputs.
            explain: Ask for explanations in place of predictions.

        Returns:
            What became of each, in order.

        Raises:
            ArchiveError: The model is mapped from an archive that somebody has written to.
        """
        runner = self.runner(explain=explain)
        numbered = list(enumerate(inputs))
        outcomes: list[Outcome] = []
        for start in range(0, len(numbered), self.batch_size):
            with self._lock:
                self.prepared.files.check_views()
                outcomes += runner.run(numbered[start : start + self.batch_size])
        return outcomes

    def runner(
        self,
        *,
        explain: bool = False,
        independent: bool = False,
        caught: tuple[type[BaseException], ...] = (Exception, SystemExit),
    ) -> BatchRunner:
        """What runs batches through the handler, for engines.

        Args:
            explain: Ask for explanations in place of predictions.
            independent: Give each batch a context of its own, for stages that overlap.
            caught: What counts as the handler's failure.

        Raises:
            HandlerError: The predictor is closed.
        """
        if not self._open:
            raise HandlerError(f"{self.name} is closed.", stage="handle", handler=self.loaded.name)
        return BatchRunner(
            life=self.life,
            context=self.context,
            explain=explain,
            independent=independent,
            caught=caught,
            lanes=lanes_of(self.context.system_properties["gpu_id"]) if independent else None,
        )

    def close(self) -> None:
        """Let the handler clean up. Closing twice does no harm."""
        with self._lock:
            if self._open:
                self._open = False
                try:
                    self._guarded("teardown", self.life.teardown)
                finally:
                    self.loaded.close()

    def _initialize(self) -> None:
        metrics = self.context.metrics
        metrics.listener = self.life.record_metric
        self.context.model_loaders = self.life.manager
        try:
            self._guarded("initialize", self.life.initialize)
        except BaseException:
            self.loaded.close()
            raise
        finally:
            self.context.model_loaders = None  # handlers copy their context

    def _guarded(self, stage: str, run: Callable[[Context], None]) -> None:
        """Run a stage that belongs to no request."""
        try:
            run(self.context)
        except (MarError, KeyboardInterrupt):
            raise
        except BaseException as error:
            failure = failure_of(error, stage)
            why = f"{failure.type}: {failure.message.removesuffix('.')}"
            raise HandlerError(
                f"{self.loaded.name} failed in {stage}: {why}.",
                stage=stage,
                handler=self.loaded.name,
                distribution=self.loaded.distribution,
                code=failure.code,
            ) from error

    def _error(self, name: str, failure: Failure) -> HandlerError:
        return HandlerError(
            f"Input {name} failed in {failure.stage}: {failure.type}: {failure.message}",
            stage=failure.stage,
            handler=self.loaded.name,
            distribution=self.loaded.distribution,
            code=failure.code,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return (Predictor, (self.recipe,))

    def __repr__(self) -> str:
        return f"<Predictor {self.name} ({self.loaded.name}) from {self.recipe.source}>"


def refuse_single(inputs: Any) -> None:
    """Refuse what is one input where a list of inputs belongs: a text is a list of letters.

    Raises:
        UsageError: It is a text, bytes, a path, a mapping, a picture, a file, or no list at all.
    """
    one = isinstance(inputs, (str, bytes, bytearray, memoryview, PurePath, Mapping, Input))
    picture = type(inputs).__module__.partition(".")[0] == "PIL"
    if one or picture or hasattr(inputs, "read") or not hasattr(inputs, "__iter__"):
        raise UsageError(
            f"predict takes a list of inputs, not one {type(inputs).__name__}.",
            hint="Put it in a list: `model.predict([x])`.",
        )


def as_input(value: Any, *, name: str) -> Input:
    """One input of ``predict`` as a request.

    Args:
        value: See ``Predictor.predict``.
        name: The id to give it.
    """
    if isinstance(value, Input):
        return value
    if isinstance(value, Path):
        kind = JSON if value.suffix.lower() == ".json" else ""
        return Input(
            id=str(value), read=functools.partial(_from_file, value, kind), headers=_headers(kind)
        )
    read, kind = _reading(value)
    return Input(id=name, read=read, headers=_headers(kind))


def _reading(value: Any) -> tuple[Callable[[], dict[str, Any]], str]:
    """What reads a value, and its content type, if it has one."""
    if isinstance(value, dict) and not REQUEST_KEYS.isdisjoint(value):
        return functools.partial(_same, value), ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return functools.partial(_same, {BODY: bytearray(value)}), ""
    if isinstance(value, str):
        return functools.partial(_same, {BODY: value}), "text/plain"
    if type(value).__module__.partition(".")[0] == "PIL":
        return functools.partial(_from_image, value), "image/png"
    return functools.partial(_from_value, value), JSON


def _headers(kind: str) -> dict[str, Any]:
    return request_headers({BODY: kind}, {}, content_type=kind)


def _same(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _from_value(value: Any) -> dict[str, Any]:
    """Arrays and tensors arrive as JSON would have brought them: as nested lists."""
    return {BODY: value.tolist() if hasattr(value, "tolist") else value}


def _from_image(image: Any) -> dict[str, Any]:
    """A picture arrives as the bytes of a PNG, which loses nothing."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return {BODY: bytearray(buffer.getvalue())}


def _from_file(path: Path, kind: str) -> dict[str, Any]:
    try:
        return {BODY: decode(path.read_bytes(), kind)}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
