"""The handler keeps what every handler must keep."""

from __future__ import annotations

import pytest
from mar_core.testing import HandlerCase, HandlerContract, make_archive

HANDLER = "{{ cookiecutter.handler_name }}"


class TestContract(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> HandlerCase:
        folder = tmp_path_factory.mktemp("archive")
        return HandlerCase(
            archive=make_archive(folder, handler=HANDLER),
            inputs=[{"data": "one"}, {"body": b"two words"}, {"data": "and three words"}],
            bad={"data": 7},
        )
