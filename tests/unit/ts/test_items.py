"""Requests of a batch, read one by one."""

from __future__ import annotations

import base64

import pytest

import mar_core
from mar_core import PredictionException, bad_item, each_item, from_base64
from mar_core.ts.items import rejections


def read(row):
    if row < 0:
        raise bad_item(f"{row} is below zero")
    return row * 2


@pytest.mark.parametrize(
    ("message", "sentence"),
    [("it is empty", "It is empty."), ("Is it?", "Is it?"), ("it ends so.", "It ends so.")],
)
def test_an_error_is_a_sentence_and_the_clients_fault(message, sentence):
    error = bad_item(message)
    assert (error.message, error.error_code) == (sentence, 400)


def test_what_cannot_be_read_is_left_out_where_it_may_be():
    with rejections() as rejected:
        assert each_item(iter([1, -1, 2]), read) == [2, 4]
    assert {place: error.message for place, error in rejected.items()} == {1: "-1 is below zero."}


def test_where_nothing_can_leave_it_out_it_is_named():
    with pytest.raises(PredictionException, match=r"^Item 1 of the batch: -1 is below zero\."):
        each_item([1, -1], read)
    with pytest.raises(PredictionException, match=r"^-1 is below zero\."):
        each_item([-1], read)


@pytest.mark.parametrize(
    "text",
    [
        "bWFy",
        " bW\nFy ",
        "data:image/png;base64,bWFy",
        "DATA:;BASE64,bWFy",
        "data:;base64,bW%46y",
        "data:,mar",
        "data:text/plain,%6dar",
    ],
)
def test_text_that_stands_for_bytes(text):
    assert from_base64(text, "image") == b"mar"


@pytest.mark.parametrize("text", ["/etc/passwd.", "http://127.0.0.1/a.png", "bWF", "é" * 99])
def test_what_is_no_base64_is_no_path_either(text):
    with pytest.raises(PredictionException, match="is no sound in base64; send the sound's bytes"):
        from_base64(text, "sound")


def test_a_data_uri_without_data():
    with pytest.raises(PredictionException, match="has no comma"):
        from_base64("data:image/png;base64", "image")


def test_a_picture_is_decoded_and_damage_is_the_clients_fault(tmp_path):
    from PIL import Image

    path = tmp_path / "a.png"
    Image.new("L", (3, 2), 7).save(path)
    image = mar_core.decode_image(path.read_bytes())
    assert (image.mode, image.size) == ("L", (3, 2))
    with pytest.raises(PredictionException, match="cannot be decoded"):
        mar_core.decode_image(path.read_bytes()[:50])
    with pytest.raises(PredictionException, match="no image that Pillow knows"):
        mar_core.decode_image(base64.b64encode(path.read_bytes()))
