"""A handler leaves bad items out of a batch, and nothing is done twice for the others."""

from __future__ import annotations

import pytest

from mar_core import Failure, load
from mar_core.testing import make_archive

HANDLER = """
from mar_core import BaseHandler, PredictionException, reject_item

class Lengths(BaseHandler):
    stages_independent = {independent}
    calls = 0

    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        type(self).calls += len(data)
        rows = []
        for index, row in enumerate(data):
            if row["data"] == "bad":
                error = PredictionException("bad word", 400)
                if not reject_item(index, error):
                    raise error
            else:
                rows.append(row["data"])
        return rows

    def inference(self, data):
        assert data
        return [len(text) for text in data]

    def postprocess(self, data):
        ids = [self.context.get_request_id(index) for index in range(len(data))]
        return [[length, name, self.calls] for length, name in zip(data, ids, strict=True)]
"""
WORDS = ["a", "bad", "bb", "bad", "ccc"]


@pytest.fixture
def served(tmp_path):
    def make(*, independent):
        handler = tmp_path / "lengths.py"
        handler.write_text(HANDLER.format(independent=independent))
        return load(make_archive(tmp_path, handler=handler), batch_size=len(WORDS))

    return make


@pytest.mark.parametrize("independent", [True, False])
def test_bad_items_fail_alone(served, independent):
    with served(independent=independent) as model:
        results = model.predict([{"data": word} for word in WORDS], on_error="return")
    good = [results[at][:2] for at in (0, 2, 4)]
    assert good == [[1, "0"], [2, "2"], [3, "4"]]
    for at in (1, 3):
        failure = results[at]
        assert isinstance(failure, Failure)
        assert (failure.stage, failure.message, failure.code) == ("preprocess", "bad word", 400)
    # Independent stages read each item once; others are halved until what fails fails alone.
    assert (results[0][2] == len(WORDS)) is independent


def test_a_batch_of_nothing_but_bad_items(served):
    with served(independent=True) as model:
        results = model.predict([{"data": "bad"}] * 4, on_error="return")
    assert [failure.message for failure in results] == ["bad word"] * 4
