"""The handler keeps what every handler must keep."""

from __future__ import annotations

import io

import pytest
from mar_core.testing import HandlerCase, HandlerContract, make_archive
from PIL import Image

from network import Network

HANDLER = "{{ cookiecutter.handler_name }}"


def picture(colour: str) -> dict[str, bytes]:
    """A request that holds a PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return {"body": buffer.getvalue()}


class TestContract(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> HandlerCase:
        folder = tmp_path_factory.mktemp("archive")
        return HandlerCase(
            archive=make_archive(folder, handler=HANDLER, model=Network()),
            inputs=[picture("red"), picture("blue"), picture("lime")],
            bad={"body": b"not a picture"},
        )
