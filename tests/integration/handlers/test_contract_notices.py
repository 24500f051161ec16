"""The kit's contract notices each fault that it is there for."""

from __future__ import annotations

import pytest

from mar_core import load
from mar_core.testing import HandlerCase, HandlerContract, make_archive

SOUND = """
class Doubles:
    def initialize(self, context):
        self.ready = True

    def handle(self, data, context):
        return self.answers([self.value(row) for row in data])

    def value(self, row):
        if not isinstance(row["data"], int):
            raise ValueError("no whole number")
        return row["data"]

    def answers(self, values):
        return [value * 2 for value in values]
"""
KIT = HandlerContract()


@pytest.fixture
def case(tmp_path):
    """A case around the sound handler, or around one in which some lines are others."""

    def make(*changes, **options):
        text = SOUND
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        handler = tmp_path / "handler.py"
        handler.write_text(text)
        given = {"inputs": [{"data": 1}, {"data": 2}, {"data": 3}], "bad": {"data": "x"}}
        return HandlerCase(archive=make_archive(tmp_path, handler=handler), **{**given, **options})

    return make


def check(case, method, caplog=None):
    """Run one of the kit's tests as pytest would."""
    with load(case.archive, batch_size=1) as alone:
        expected = alone.predict(case.inputs)
    with load(case.archive, batch_size=len(case.inputs) + 1) as predictor:
        arguments = {
            "case": case,
            "predictor": predictor,
            "expected": expected,
            "caplog": caplog,
        }
        test = getattr(KIT, method)
        names = test.__code__.co_varnames[1 : test.__code__.co_argcount]
        test(**{name: arguments[name] for name in names if name in arguments})


def refused(case, method, caplog=None):
    with pytest.raises(pytest.fail.Exception) as failed:
        check(case, method, caplog)
    return str(failed.value)


@pytest.mark.parametrize(
    "method",
    [
        "test_inputs_tell_answers_apart",
        "test_a_batch_answers_as_single_requests_do",
        "test_order_is_kept",
        "test_a_bad_request_fails_alone",
        "test_results_can_be_written_down",
        "test_answers_are_what_the_signature_says",
        "test_loading_twice_gives_two_that_work",
        "test_two_threads_may_load_and_predict",
    ],
)
def test_a_sound_handler_passes(case, method, caplog):
    check(case(), method, caplog)


def test_answers_that_are_all_alike(case):
    alike = case(("value * 2 for", "0 for"))
    assert "different answers" in refused(alike, "test_inputs_tell_answers_apart")


def test_an_answer_that_depends_on_the_batch(case, caplog):
    leaky = case(("value * 2 for", "value * 2 + len(values) for"))
    says = refused(leaky, "test_a_batch_answers_as_single_requests_do", caplog)
    assert "expected 3, got 5 (off by 2)" in says


def test_a_batch_that_works_one_by_one_only(case, caplog):
    short = case(("for value in values]", "for value in values[:1]]"))
    says = refused(short, "test_a_batch_answers_as_single_requests_do", caplog)
    assert "failed in result with a batch of" in says
    assert "use --batch-size 1, or mend the handler" in says


def test_answers_in_another_order(case):
    sorts = case(("[value * 2 for value in values]", "[value * 2 for value in sorted(values)]"))
    assert "off by" in refused(sorts, "test_order_is_kept")


def test_a_bad_request_that_is_answered(case):
    takes = case(bad={"data": 4})
    assert "it must refuse it" in refused(takes, "test_a_bad_request_fails_alone")


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ('{"name": "double", "type": "int64"}', None),
        ('{"name": "double", "type": "string"}',
         "case.inputs[0]: answer is int64, where string is declared."),
    ],
)  # fmt: skip
def test_answers_that_are_not_what_is_declared(case, declared, sentence):
    method = "test_answers_are_what_the_signature_says"
    declares = case(
        ("class Doubles:", f'class Doubles:\n    signature = {{"outputs": [{declared}]}}')
    )
    if sentence is None:
        check(declares, method)
    else:
        assert sentence in refused(declares, method)


def test_weights_that_run_code(case):
    loads = (
        "import io, torch\n"
        "        stream = io.BytesIO()\n"
        "        torch.save([1], stream)\n"
        "        stream.seek(0)\n"
        "        torch.load(stream, weights_only=False)"
    )
    unsafe = case(("self.ready = True", loads))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(pytest.fail.Exception) as failed:
        KIT.test_weights_are_loaded_without_running_them(unsafe, patch)
    assert "weights_only=True" in str(failed.value)


def test_state_that_two_share(case):
    counts = case(
        ("class Doubles:", "import sys\n\nclass Doubles:"),
        ("self.ready = True", "sys.loaded = getattr(sys, 'loaded', 0) + 1"),
        ("value * 2 for", "value * 2 + sys.loaded for"),
    )
    assert "off by" in refused(counts, "test_loading_twice_gives_two_that_work")


def test_a_handler_that_nobody_registered(case):
    assert "not an entry of the group mar.handlers" in refused(
        case(), "test_metadata_says_whose_it_is"
    )
