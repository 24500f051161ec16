"""The handler keeps what every handler must keep."""

from __future__ import annotations

import pytest
from mar_core.testing import HandlerCase, HandlerContract, make_archive

from network import Network

HANDLER = "{{ cookiecutter.handler_name }}"


class TestContract(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> HandlerCase:
        folder = tmp_path_factory.mktemp("archive")
        return HandlerCase(
            archive=make_archive(folder, handler=HANDLER, model=Network()),
            inputs=[{"data": "letters"}, {"body": b"0123456789"}, {"data": "r2d2 and c3po"}],
            bad={"data": ""},
        )
