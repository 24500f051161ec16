"""Every handler that comes with mar passes the kit that authors of handlers test with."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image
from unpacked import network
from weightsfiles import saved

from mar_core.plugins import HANDLER_GROUP, find_entries
from mar_core.testing import HandlerCase, HandlerContract, make_archive

REGISTERED = sorted(
    entry.name for entry in find_entries(HANDLER_GROUP) if entry.distribution == "mar-core"
)
WORDS = {"<unk>": 0, "<pad>": 1, "good": 2, "bad": 3, "film": 4, "a": 5, "good film": 6}


def picture(colour, size=(40, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return {"body": buffer.getvalue()}


def tensors(folder, handler):
    rows = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    return HandlerCase(
        archive=make_archive(folder, handler=handler, model=network("pairs")),
        inputs=[{"data": row} for row in rows],
        bad={"data": "three"},
    )


def saved_tensors(folder, handler):
    model, colours = network("colours"), (0.0, 0.5, 1.0)
    images = [model.classes.weight.new_full((3, 9, 9), colour) for colour in colours]
    return HandlerCase(
        archive=make_archive(folder, handler=handler, model=model),
        inputs=[{"data": saved(image)} for image in images],
        bad={"data": b"no tensor"},
    )


def pictures(name, **config):
    def case(folder, handler):
        flags = {"config": {"handler": config}} if config else {}
        return HandlerCase(
            archive=make_archive(folder, handler=handler, model=network(name), **flags),
            inputs=[picture("red"), picture("blue"), picture("lime")],
            bad={"body": b"no picture"},
        )

    return case


def plain_pictures(folder, handler):
    case = pictures("colours")(folder, handler)
    return HandlerCase(archive=case.archive, inputs=case.inputs, bad={"body": ["no", "picture"]})


def texts(folder, handler):
    files = {"vocab.json": json.dumps(WORDS)}
    return HandlerCase(
        archive=make_archive(folder, handler=handler, model=network("reviews"), files=files),
        inputs=[{"data": "A good film!"}, {"body": b"bad"}, {"data": "a bad, bad film"}],
        bad={"data": 7},
    )


CASES = {
    "base_handler": tensors,
    "densenet_handler": saved_tensors,
    "image_classifier": pictures("colours"),
    "image_segmenter": pictures("regions", output="png"),
    "object_detector": pictures("spots"),
    "text_classifier": texts,
    "text_handler": texts,
    "vision_handler": plain_pictures,
}


def test_no_handler_is_forgotten():
    assert sorted(CASES) == REGISTERED


class TestContract(HandlerContract):
    @pytest.fixture(scope="class", params=REGISTERED)
    @classmethod
    def case(cls, request, tmp_path_factory):
        name = request.param
        return CASES[name](tmp_path_factory.mktemp(name), name)
