"""Examples in archives: inputs with the answers that were given when the archive was made.

They lie in ``MAR-INF/examples/``, which servers ignore: the inputs, each in a folder of its own,
and ``examples.json``, which says for each what came out and how far numbers may be off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError, UsageError
from mar_core.format import ExtraFile
from mar_core.reports.comparison import DEFAULT_TOLERANCE, Difference, Tolerance, differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mar_core.build.request import ArchiveRequest
    from mar_core.format import Archive
    from mar_core.records import Input
    from mar_core.runtime.local_workers import LocalWorkers
    from mar_core.runtime.predictor import Predictor
    from mar_core.runtime.recipe import Recipe
    from mar_core.signature import Signature

__all__ = [
    "FOLDER",
    "INDEX",
    "Example",
    "ExampleResult",
    "read_examples",
    "record_examples",
    "run_examples",
    "update_examples",
]

FOLDER = "MAR-INF/examples"
INDEX = f"{FOLDER}/examples.json"
# Requests and results that are looked at for the archive's signature.
_MOST_SEEN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example of an archive.

    Attributes:
        input: The member that holds the input.
        results: What came out: one result for each request that the input holds, as JSON values.
        tolerance: How far numbers may be off.
    """

    input: str
    results: list[Any]
    tolerance: Tolerance = DEFAULT_TOLERANCE

    @property
    def name(self) -> str:
        """The input's file name."""
        return self.input.rpartition("/")[2]

    def to_dict(self) -> dict[str, Any]:
        """The example as plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleResult:
    """How an example went.

    Attributes:
        example: The example.
        got: What came out now.
        error: Why nothing came out, or empty.
        differences: Where it differs.
    """

    example: Example
    got: list[Any] = field(default_factory=list)
    error: str = ""
    differences: tuple[Difference, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the same came out as was recorded."""
        return not self.error and not self.differences

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "input": self.example.input,
            "passed": self.passed,
            "error": self.error or None,
            "differences": [dataclasses.asdict(difference) for difference in self.differences],
        }


def record_examples(request: ArchiveRequest) -> list[ExtraFile]:
    """Run the model on the examples of a request, as they will be packed.

    Args:
        request: What ``mar archive`` was asked for; ``request.examples`` are the inputs.

    Returns:
        The files to put into the archive.

    Raises:
        UsageError: An example is no file.
        ArchiveError: The model fails on one; such an archive is not written.
    """
    from mar_core.runtime.interpreter import AUTO, environment_named
    from mar_core.runtime.recipe import Recipe

    env = environment_named(request.env)
    sources = dataclasses.replace(request, examples=(), lock=request.lock and env == AUTO)
    recipe = Recipe(
        source=sources,
        allow_pickle=request.allow_pickle,
        env=env,
        allow_build=request.allow_build,
    )
    files: list[ExtraFile] = []
    examples: list[Example] = []
    with _loaded(recipe) as predictor:
        for number, path in enumerate(request.examples, 1):
            name = f"{FOLDER}/{number}/{path.name}"
            examples.append(Example(input=name, results=_record_one(predictor, path)))
            files.append(ExtraFile(name=name, content=path))
    index = _dump(examples, _seen(examples, request.examples))
    return [*files, ExtraFile(name=INDEX, content=index)]


def read_examples(archive: Archive) -> list[Example]:
    """The examples of an archive; an empty list where it has none.

    Raises:
        ArchiveError: ``examples.json`` is not what it must be.
    """
    if INDEX not in archive.members:
        return []
    try:
        data = json.loads(archive.read(INDEX))
        examples = [_example(entry) for entry in data["examples"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(
            f"{archive}: {INDEX} is not what `mar archive --example` writes.",
            hint="Make the archive again.",
        ) from error
    missing = [example.input for example in examples if example.input not in archive.members]
    if missing:
        raise ArchiveError(f"{archive}: {INDEX} names {missing[0]!r}, which is not there.")
    return examples


def run_examples(recipe: Recipe, *, tolerance: Tolerance | None = None) -> list[ExampleResult]:
    """Run an archive's examples again.

    Args:
        recipe: What to load, and where.
        tolerance: How far numbers may be off; None takes what the archive says.

    Returns:
        How each example went, in order.

    Raises:
        UsageError: The archive has no examples.
        MarError: The archive cannot be loaded.
    """
    with recipe.open() as archive, tempfile.TemporaryDirectory(prefix="mar-test-") as scratch:
        examples = read_examples(archive)
        if not examples:
            raise UsageError(
                f"{archive} has no examples.",
                hint="Record some when it is made: `mar archive … --example INPUT`.",
            )
        paths = [_extracted(archive, example, Path(scratch)) for example in examples]
        with _loaded(recipe) as predictor:
            pairs = zip(examples, paths, strict=True)
            return [_run_one(predictor, one, path, tolerance) for one, path in pairs]


@contextlib.contextmanager
def _loaded(recipe: Recipe) -> Iterator[Predictor | LocalWorkers]:
    """The archive in this process, or in a worker where it has an environment of its own."""
    if recipe.here:
        with recipe.load() as predictor:
            yield predictor
        return
    from mar_core.records import RunOptions
    from mar_core.runtime.local_workers import LocalWorkers

    workers = LocalWorkers(recipe, RunOptions())
    try:
        yield workers
    finally:
        workers.close()


def _recorded_again(results: Sequence[ExampleResult], signature: Signature | None) -> bytes:
    """The ``examples.json`` that holds what came out now, in place of what was recorded.

    Args:
        results: What ``run_examples`` returned.
        signature: What was seen when the examples were recorded, whose inputs are the same.

    Raises:
        ArchiveError: An example has failed.
    """
    for result in results:
        if result.error:
            raise ArchiveError(f"The example {result.example.name} fails: {result.error}")
    examples = [dataclasses.replace(result.example, results=result.got) for result in results]
    inputs = signature.inputs if signature is not None else ()
    return _dump(examples, dataclasses.replace(_seen(examples), inputs=inputs))


def update_examples(path: Path, results: Sequence[ExampleResult], *, allow_pickle: bool) -> None:
    """Record what an archive's examples gave now, as ``mar test --update`` does.

    Args:
        path: The archive.
        results: What ``run_examples`` returned.
        allow_pickle: Take weights that can run code when loaded.

    Raises:
        ArchiveError: An example has failed, or the archive cannot be written. It stays as it is.
    """
    from mar_core.format import open_archive
    from mar_core.signature.declared import recorded

    with open_archive(path) as archive:
        again = _recorded_again(results, recorded(archive))
    with tempfile.TemporaryDirectory(prefix="mar-test-") as scratch:
        index = Path(scratch, Path(INDEX).name)
        index.write_bytes(again)
        from mar_core.build.updating import update

        update(path, extra_files=f"{index}={FOLDER}/", allow_pickle=allow_pickle)


def _record_one(predictor: Predictor | LocalWorkers, path: Path) -> list[Any]:
    if not path.is_file():
        raise UsageError(f"There is no file {str(path)!r}.", hint="Check --example.")
    results, error = _answers(predictor, path)
    if error:
        raise ArchiveError(f"The example {path} fails: {error}", hint="Nothing has been written.")
    return results


def _run_one(
    predictor: Predictor | LocalWorkers,
    example: Example,
    path: Path,
    tolerance: Tolerance | None,
) -> ExampleResult:
    got, error = _answers(predictor, path)
    allowed = tolerance or example.tolerance
    if tolerance is not None:
        example = dataclasses.replace(example, tolerance=tolerance)
    found = () if error else tuple(differences(example.results, got, tolerance=allowed))
    return ExampleResult(example=example, got=got, error=error, differences=found)


def _answers(predictor: Predictor | LocalWorkers, path: Path) -> tuple[list[Any], str]:
    """The results for a file, read as ``mar run`` reads it, or why there are none."""
    from mar_core.runtime.values import plain

    outcomes = [plain(outcome) for outcome in predictor.run(list(_inputs(path)))]
    for outcome in outcomes:
        if outcome.failure is not None:
            failure = outcome.failure
            return [], f"{failure.stage}: {failure.type}: {failure.message}"
    return [outcome.result for outcome in outcomes], "" if outcomes else "it holds no request."


def _extracted(archive: Archive, example: Example, folder: Path) -> Path:
    """The input as a file with the name that it had, since readers look at names."""
    path = folder / example.input.removeprefix(f"{FOLDER}/").replace("/", "-")
    path.write_bytes(archive.read(example.input))
    return path


def _dump(examples: Sequence[Example], seen: Signature) -> bytes:
    data: dict[str, Any] = {"examples": [example.to_dict() for example in examples]}
    return json.dumps({**data, "signature": seen.to_dict()}, indent=2).encode()


def _seen(examples: Sequence[Example], paths: Iterable[Path] = ()) -> Signature:
    """The signature that examples and the files that were their inputs show."""
    from mar_core.signature.matching import observed

    return observed(_rows(paths), _results(examples))


def _inputs(path: Path) -> Iterator[Input]:
    """The requests that a file holds, as ``mar run`` finds them."""
    from mar_core.plugins import get_plugins
    from mar_core.records import ReadOptions
    from mar_core.run.inputs import expand

    return expand([str(path)], ReadOptions(), get_plugins().readers())


def _rows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The first requests of some files, as the handler gets them."""
    inputs = itertools.chain.from_iterable(map(_inputs, paths))
    return [one.read() for one in itertools.islice(inputs, _MOST_SEEN)]


def _results(examples: Sequence[Example]) -> list[Any]:
    """The first results of some examples."""
    results = itertools.chain.from_iterable(example.results for example in examples)
    return list(itertools.islice(results, _MOST_SEEN))


def _example(entry: dict[str, Any]) -> Example:
    return Example(
        input=str(entry["input"]),
        results=list(entry["results"]),
        tolerance=Tolerance(
            relative=float(entry["tolerance"]["relative"]),
            absolute=float(entry["tolerance"]["absolute"]),
        ),
    )
