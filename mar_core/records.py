"""What a run passes around: inputs, outcomes, options, and what readers and engines must offer."""

from __future__ import annotations

import abc
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


__all__ = [
    "EngineOption",
    "Failure",
    "Input",
    "Outcome",
    "ReadOptions",
    "Reader",
    "Response",
    "RunOptions",
    "RunSummary",
    "WriteOptions",
    "Writer",
]

# Bytes of one request: what is larger is a fault or a bomb, unless the user says otherwise.
MAX_INPUT_SIZE = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One request, not read yet, so that reading can overlap with the model and fail alone.

    It must pickle: ``read`` is a module-level function, a ``functools.partial`` of one, or a bound
    method of something that pickles.

    Attributes:
        id: What the user knows it by; the same on every run over the same sources.
        read: Returns the request as TorchServe would have built it: ``{"data": …}``,
            ``{"body": …}`` or a form's fields. Raises ``InputError`` when it cannot be read.
        headers: The request's headers, seen by ``context.get_request_header``; as in TorchServe,
            a field's own content type is there as ``{field: {"content-type": …}}``.
        size: Roughly how many bytes it holds, for bucketing, or None.
        kept: Columns of the input that go into its row of results, for ``--keep``.
    """

    id: str
    read: Callable[[], dict[str, Any]]
    headers: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why one input has no result.

    Attributes:
        stage: ``read``, ``initialize``, ``preprocess``, ``inference``, ``postprocess``,
            ``explain``, ``result``, ``worker``, or ``response`` where the handler itself answered
            with a status of 400 or more.
        type: The exception's class name; for ``response`` the status in HTTP's words.
        message: One sentence.
        code: The HTTP status that TorchServe would have answered with.
        traceback: The handler's own lines, for ``--verbose``; empty where there are none.
        public: What a server may tell its client, in TorchServe's words.
    """

    stage: str
    type: str
    message: str
    code: int = 503
    traceback: str = ""
    public: str = field(default="Prediction failed", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a handler said about its answer through the context."""

    status: int = 200
    phrase: str = ""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


PLAIN_RESPONSE = Response()  # what most handlers say: nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one input: a result or a failure.

    Both there are for an answer with a status of 400 or more alone: the failure, and what the
    handler returned with it.

    Attributes:
        index: The input's place in the run, from 0.
        id: The input's id.
        result: What the handler returned for it; meaningful when ``failure`` is None.
        failure: What went wrong, or None.
        response: What the handler said about the answer.
        streamed: The chunks that the handler sent before its answer.
    """

    index: int
    id: str
    result: Any = None
    failure: Failure | None = None
    response: Response = field(default_factory=Response)
    streamed: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How to read inputs: the reading flags of ``mar run`` as one value.

    Attributes:
        include: Patterns of file names to take from folders; empty takes all.
        column: The column of a table to send as ``data``; None sends the row.
        keep: The columns of a row that go into its results; see ``Input.kept``.
        lines: A file that is no table or archive holds one text on each line.
        raw: Send rows as bytes, too, as files are.
        envelope: The envelope that unwraps the requests: a row is one of its instances.
        field_name: The key that a file's content is sent under.
        content_type: What every input is; a file of rows is then one request.
        headers: Headers of every request.
        max_input_size: The most bytes that one request may take, packed or not.
    """

    include: tuple[str, ...] = ()
    column: str | None = None
    keep: tuple[str, ...] = ()
    lines: bool = False
    raw: bool = False
    envelope: str | None = None
    field_name: str = "body"
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    max_input_size: int = MAX_INPUT_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run: the running flags of ``mar run`` as one value.

    Attributes:
        batch_size: Requests in a batch; ``auto`` finds the best; None takes the archive's.
        workers: Worker processes; None decides, 0 runs in this one, for debuggers.
        timeout: Seconds that a batch may take, or None.
        unordered: Give results as they come.
        fail_fast: Stop at the first failure.
        explain: Ask for explanations in place of predictions.
        profile: The folder for profiler traces, or None.
        engine_options: The options of the engine's own, by name without the dashes.
        output_dir: Where an engine with workers has them put bytes, tensors and pictures.
    """

    batch_size: int | Literal["auto"] | None = None
    workers: int | None = None
    timeout: float | None = None
    unordered: bool = False
    fail_fast: bool = False
    explain: bool = False
    profile: Path | None = None
    engine_options: Mapping[str, str] = field(default_factory=dict)
    output_dir: Path | None = None


@dataclass(slots=True, kw_only=True)
class RunSummary:
    """What a run came to.

    Attributes:
        model: The model's name.
        total: Inputs with an outcome in this run.
        succeeded: Inputs with a result.
        errors: Failures by ``stage/type``.
        skipped: Inputs that an earlier run had done.
        failed_before: Rows of the output in which that run had written an error.
        seconds: Wall-clock, start to end.
        stage_seconds: Seconds by stage, added over all batches and workers.
        batches: How many batches ran.
        interrupted: Whether the run was stopped before its end.
        finished: Whether it has come to its end.
        begun: When it began, in seconds since 1970.
        judged: Inputs with a result and a true label, as ``--truth`` says.
        right: Those of them whose result begins with the true label.
    """

    model: str
    total: int = 0
    succeeded: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    failed_before: int = 0
    seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    batches: int = 0
    interrupted: bool = False
    finished: bool = False
    begun: float = field(default_factory=time.time)
    judged: int = 0
    right: int = 0

    @property
    def failed(self) -> int:
        """Inputs with a failure."""
        return self.total - self.succeeded


class Reader(Protocol):
    """Turns one source that the user named into inputs."""

    name: str

    def accepts(self, source: str) -> bool:
        """Whether this reader is the one for that source; must be quick and read nothing large."""

    def read(self, source: str, options: ReadOptions) -> Iterator[Input]:
        """The inputs of that source, in a stable order.

        Raises:
            InputError: The source as a whole cannot be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How to write results: the writing flags of ``mar run`` as one value.

    Attributes:
        details: Write down what the handler said about its answers, too.
        flat: Give each value of a result a typed column of its own.
        top: Of labels with scores, and of found objects, the best so many; None keeps all.
        keep: The columns of the inputs that rows carry along, under ``input``; with ``--truth``
            one of them is ``truth``.
        explain: The results are explanations.
    """

    details: bool = False
    flat: bool = False
    top: int | None = None
    keep: tuple[str, ...] = ()
    explain: bool = False


class Writer(abc.ABC):
    """Writes results in one format; a plugin offers an object of it by ``mar_register_writers``.

    A row is a dict of JSON values: ``id``, and ``result`` or ``error`` (``stage``, ``type``,
    ``message``, ``code``) or both; ``streamed``, ``response`` and ``input`` where there are any,
    and ``preview`` where ``previews`` asks for it.

    Attributes:
        name: What to call it in messages.
        endings: The endings of files that it writes, such as ``(".xml",)``.
        streams: Rows are written as they come, batch by batch, each as whole lines. Otherwise all
            rows are written at the end of the run; until then they are kept beside the file, and
            the run can be resumed.
        resumes: Of a writer that streams: ``parse`` reads its lines, so that a run can be resumed.
        flattens: It gives values typed columns of their own where ``options.flat`` is set.
        previews: Rows have a ``preview`` of their input, for people to look at: ``{"text": …}``, or
            ``{"picture": …, "type": …, "width": …, "height": …}``, a small picture in base64 with
            its type, and the size of the input's in pixels. An input that is neither has none.
    """

    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]
    streams: ClassVar[bool] = False
    resumes: ClassVar[bool] = False
    flattens: ClassVar[bool] = False
    previews: ClassVar[bool] = False

    def check(self, options: WriteOptions) -> None:  # noqa: B027 - most need nothing
        """Say before a run what would be missing at its end.

        Raises:
            UsageError: A package is not installed, or an option makes no sense.
        """

    @abc.abstractmethod
    def write(
        self, rows: Callable[[], Iterator[dict[str, Any]]], stream: BinaryIO, options: WriteOptions
    ) -> None:
        """Write rows.

        Args:
            rows: Gives the rows, from the first one each time it is called: the batch that has
                come, or of a writer that does not stream all of them.
            stream: Where to; it is not to be closed.
            options: How.
        """

    def parse(self, line: bytes) -> dict[str, Any] | None:  # noqa: ARG002 - for writers that resume
        """The row that a line holds, its end included, or None where it is not whole.

        Of a row, ``id`` and ``error`` count. An empty dict stands for a whole line that is no row:
        one of ``head`` or ``note``.
        """
        return None

    def head(self, options: WriteOptions) -> bytes:  # noqa: ARG002 - most begin with a row
        """What a file begins with, before its rows, in whole lines; of a writer that streams."""
        return b""

    def note(self, summary: RunSummary) -> bytes:  # noqa: ARG002 - most hold rows alone
        """Whole lines that say how far a run is, in between the rows; of a writer that streams.

        Asked for now and then, and a last time when the run has finished or was stopped; a run that
        is resumed begins with a summary of its own.
        """
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOption:
    """An option of ``mar run`` that an engine adds; it takes one value.

    Attributes:
        name: The option, such as ``--address``; ``RunOptions.engine_options`` has it as
            ``address``.
        help: What it means, in one sentence.
    """

    name: str
    help: str
