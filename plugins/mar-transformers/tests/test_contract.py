"""What every handler must keep, this one keeps."""

from __future__ import annotations

import pytest

from mar_core.testing import HandlerCase, HandlerContract


class TestTransformers(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, packed):
        return HandlerCase(
            archive=packed("text-classification"),
            inputs=[{"data": "the cat sat"}, {"data": "it was very good ."}, {"data": "a dog"}],
            bad={"data": 7},
        )
