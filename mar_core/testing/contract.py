"""What every handler must keep, as a class of tests.

A handler package subclasses ``HandlerContract`` and says with one fixture what to try::

    class TestShout(HandlerContract):
        @pytest.fixture(scope="class")
        @classmethod
        def case(cls, tmp_path_factory):
            folder = tmp_path_factory.mktemp("shout")
            return HandlerCase(
                archive=make_archive(folder, handler="shout"),
                inputs=[{"data": "a"}, {"data": "b"}],
                bad={"data": 7},
            )
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from mar_core.reports.comparison import Tolerance, differences
from mar_core.signature.matching import mismatches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mar_core.runtime.predictor import Predictor
    from mar_core.signature import Signature

__all__ = ["NOTHING_IS_BAD", "HandlerCase", "HandlerContract"]

NOTHING_IS_BAD = object()

# Loads the plugins of one distribution and says whether torch came with them.
DISCOVERY = """
import sys
from mar_core.plugins import PLUGIN_GROUP, HANDLER_GROUP, find_entries
entries = [e for e in find_entries(PLUGIN_GROUP) if e.distribution == sys.argv[1]]
assert [e for e in find_entries(HANDLER_GROUP) if e.name == sys.argv[2]], sys.argv[2]
for entry in entries:
    entry.load()
sys.exit("torch was imported" if "torch" in sys.modules else 0)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerCase:
    """What to try a handler with.

    Attributes:
        archive: An archive that uses it.
        inputs: At least two good requests with different answers, as for ``Predictor.predict``.
        bad: A request that the handler must refuse, or ``HandlerCase.nothing_is_bad``.
        tolerance: How far numbers may be off between a batch of one and a larger one.
    """

    archive: Path
    inputs: Sequence[Any]
    bad: Any
    tolerance: Tolerance = field(default_factory=Tolerance)

    nothing_is_bad = NOTHING_IS_BAD


class HandlerContract:
    """Tests that every handler passes; subclass it and define the fixture ``case``."""

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls) -> HandlerCase:
        """What to try; each subclass defines it.

        Raises:
            NotImplementedError: The subclass does not.
        """
        raise NotImplementedError("Define a fixture `case` that returns a HandlerCase.")

    @pytest.fixture(scope="class")
    @classmethod
    def predictor(cls, case: HandlerCase) -> Iterator[Predictor]:
        """The archive, loaded."""
        with _load(case, batch_size=len(case.inputs) + 1) as predictor:
            yield predictor

    @pytest.fixture(scope="class")
    @classmethod
    def expected(cls, case: HandlerCase) -> list[Any]:
        """The answers, each from a batch of one."""
        with _load(case, batch_size=1) as predictor:
            return _answers(predictor, case.inputs)

    def test_inputs_tell_answers_apart(self, expected: list[Any]) -> None:
        """Without two different answers nothing below could fail."""
        if len(expected) < 2 or not list(differences(expected[0], expected[1])):  # noqa: PLR2004
            pytest.fail("The first two of case.inputs must have different answers.")

    def test_a_batch_answers_as_single_requests_do(
        self,
        case: HandlerCase,
        predictor: Predictor,
        expected: list[Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """What a request is batched with does not change its answer."""
        _same(expected, _answers(predictor, case.inputs), case.tolerance)
        # A batch that fails is tried again one by one; here it must not have been.
        told = [entry.getMessage() for entry in caplog.records if entry.name.startswith("mar_core")]
        if told:
            pytest.fail("\n".join(told))

    def test_order_is_kept(
        self, case: HandlerCase, predictor: Predictor, expected: list[Any]
    ) -> None:
        """The answers come in the order of the requests."""
        _same(expected[::-1], _answers(predictor, case.inputs[::-1]), case.tolerance)

    def test_a_bad_request_fails_alone(
        self, case: HandlerCase, predictor: Predictor, expected: list[Any]
    ) -> None:
        """One request that cannot be answered costs its batch nothing."""
        if case.bad is NOTHING_IS_BAD:
            return
        mixed = [case.inputs[0], case.bad, *case.inputs[1:]]
        answers = predictor.predict(mixed, on_error="return")
        failure = answers.pop(1)
        if not _is_failure(failure):
            pytest.fail(f"The handler answers case.bad with {failure!r}; it must refuse it.")
        _same(expected, _plain(answers), case.tolerance)

    def test_results_can_be_written_down(self, case: HandlerCase, predictor: Predictor) -> None:
        """Each answer is made of JSON values, bytes, tensors, arrays or pictures."""
        _plain(predictor.predict(case.inputs))

    def test_answers_are_what_the_signature_says(
        self, case: HandlerCase, predictor: Predictor
    ) -> None:
        """Each answer has the types and shapes that the handler's ``signature`` declares."""
        signature = _declared(case)
        answer = signature.answer() if signature is not None else None
        if answer is None:
            return
        found = [
            f"case.inputs[{at}]: {mismatch}"
            for at, result in enumerate(predictor.predict(case.inputs))
            for mismatch in mismatches(answer, result)
        ]
        if found:
            pytest.fail("\n".join(found[:10]))

    def test_weights_are_loaded_without_running_them(
        self, case: HandlerCase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every ``torch.load`` while loading and answering says ``weights_only=True``."""
        import torch

        load, unsafe = torch.load, []

        def watched(*args: Any, **options: Any) -> Any:
            if options.get("weights_only") is not True:
                unsafe.append(args[0] if args else options.get("f"))
            return load(*args, **options)

        monkeypatch.setattr(torch, "load", watched)
        with _load(case) as predictor:
            predictor.predict(case.inputs)
        if unsafe:
            pytest.fail(f"torch.load(…) without weights_only=True: {unsafe}")

    def test_loading_twice_gives_two_that_work(
        self, case: HandlerCase, expected: list[Any]
    ) -> None:
        """Two loaded archives in one process do not disturb each other."""
        with _load(case) as first, _load(case) as second:
            one = _answers(first, case.inputs)
            first.close()
            _same(expected, one, case.tolerance)
            _same(expected, _answers(second, case.inputs), case.tolerance)

    def test_two_threads_may_load_and_predict(
        self, case: HandlerCase, predictor: Predictor, expected: list[Any]
    ) -> None:
        """Two threads, one loaded archive each, and then both the same."""

        def alone(_: int) -> list[Any]:
            with _load(case) as own:
                return _answers(own, case.inputs)

        def shared(_: int) -> list[Any]:
            return _answers(predictor, case.inputs)

        with ThreadPoolExecutor(2) as pool:
            for work in (alone, shared):
                for answers in pool.map(work, range(2)):
                    _same(expected, answers, case.tolerance)

    def test_discovery_imports_no_torch(self, case: HandlerCase) -> None:
        """Finding the handler, and loading the plugins that come with it, stays quick."""
        entry = _entry(case)
        command = [sys.executable, "-P", "-c", DISCOVERY, entry.distribution, entry.name]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        if child.returncode != 0:
            pytest.fail(child.stderr.strip())

    def test_metadata_says_whose_it_is(self, case: HandlerCase, predictor: Predictor) -> None:
        """The archive records the handler's distribution, and the handler says what it does."""
        entry = _entry(case)
        recorded = predictor.manifest.mar.get("handler", {})
        if recorded != {"distribution": entry.distribution, "version": entry.version}:
            pytest.fail(f"The manifest records {recorded} as the handler's distribution.")
        if not (entry.load().__doc__ or "").strip():
            pytest.fail(f"{entry.target} has no docstring.")


def _load(case: HandlerCase, **options: Any) -> Predictor:
    from mar_core import load

    return load(case.archive, device="cpu", **options)


def _declared(case: HandlerCase) -> Signature | None:
    from mar_core import open_archive
    from mar_core.signature.declared import declared

    with open_archive(case.archive) as archive:
        return declared(archive, archive.manifest)


def _answers(predictor: Predictor, inputs: Sequence[Any]) -> list[Any]:
    return _plain(predictor.predict(inputs))


def _plain(results: list[Any]) -> list[Any]:
    from mar_core.runtime.values import to_json

    return [to_json(result) for result in results]


def _is_failure(value: Any) -> bool:
    from mar_core.records import Failure

    return isinstance(value, Failure)


def _same(expected: list[Any], got: list[Any], tolerance: Tolerance) -> None:
    found = [str(difference) for difference in differences(expected, got, tolerance=tolerance)]
    if found:
        pytest.fail("\n".join(found[:10]))


def _entry(case: HandlerCase) -> Any:
    from mar_core import open_archive
    from mar_core.plugins import find_handler

    with open_archive(case.archive) as archive:
        name = archive.manifest.handler or ""
    entry = find_handler(name)
    if entry is None:
        pytest.fail(
            f"{name!r} is not an entry of the group mar.handlers. Install the package that brings "
            f"it: `pip install -e .`"
        )
    return entry
