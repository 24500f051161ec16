"""JPEGs by torchcodec: answers as by Pillow, and what it does not take is Pillow's as ever."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import pytest
import sklearn.datasets
import torch
from PIL import Image
from unpacked import initialized, network, network_source, unpack
from weightsfiles import saved

from builtin_handlers.image_classifier import ImageClassifier
from builtin_handlers.jpegs import JpegDecoder
from builtin_handlers.object_detector import ObjectDetector
from builtin_handlers.transforms import IMAGENET
from mar_core import ModelError, PredictionException

pytest.importorskip("torchcodec")
SAMPLES = Path(sklearn.datasets.__file__).parent / "images"
CHINA = (SAMPLES / "china.jpg").read_bytes()
FLOWER = (SAMPLES / "flower.jpg").read_bytes()
# Of pixels, in 0 to 1, before they are normalised: two levels of 256.
TOLERANCE = 2 / 255
NORMALISED = TOLERANCE / 0.224


def served(folder, cls=ImageClassifier, **options):
    files = {"w.pt": saved(network("colours").state_dict()), "model.py": network_source("colours")}
    context = unpack(
        folder, files, config={"handler": options}, serializedFile="w.pt", modelFile="model.py"
    )
    return initialized(cls(), context)


@pytest.fixture
def handler(tmp_path):
    return served(tmp_path, decoder="torchcodec", topk=3)


@pytest.fixture
def plain(tmp_path):
    return served(tmp_path / "plain", topk=3)


def answer(handler, rows):
    return handler.postprocess(handler.inference(handler.preprocess(rows)))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (300, 260)) -> Image.Image:
    return Image.open(io.BytesIO(CHINA)).resize(size).convert(mode)


def turned(data: bytes) -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    Image.open(io.BytesIO(data)).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def cmyk() -> bytes:
    return encoded(picture().convert("CMYK"), "JPEG")


def test_pictures_and_answers_are_pillows(handler, plain):
    text = base64.b64encode(FLOWER).decode()
    grey = encoded(picture("L"), "JPEG")
    rows = [{"data": one} for one in (CHINA, bytearray(FLOWER), text, grey)]
    assert sorted(handler.decoder.decode(rows)) == [0, 1, 2, 3]
    torch.testing.assert_close(
        handler.preprocess(rows), plain.preprocess(rows), atol=NORMALISED, rtol=0
    )
    for found, expected in zip(answer(handler, rows), answer(plain, rows), strict=True):
        assert found == pytest.approx(expected, abs=0.01)


def test_what_is_no_plain_jpeg_is_pillows(handler, plain):
    rows = [{"data": one} for one in (encoded(picture()), turned(CHINA), cmyk(), CHINA)]
    assert list(handler.decoder.decode(rows)) == [3]
    found, expected = handler.preprocess(rows), plain.preprocess(rows)
    assert torch.equal(found[:3], expected[:3])
    torch.testing.assert_close(found, expected, atol=NORMALISED, rtol=0)


@pytest.mark.parametrize(
    "broken", [CHINA[:5000], CHINA[:5000] + b"\xff\xd9", b"\xff\xd8\xff\xff\xd9", b"x", ""]
)
def test_a_broken_one_says_what_pillow_says(handler, plain, broken):
    rows = [{"data": CHINA}, {"data": broken}, {"data": FLOWER}]
    said = []
    for one in (handler, plain):
        try:
            one.preprocess(rows)
        except PredictionException as error:
            said.append(str(error))
        else:
            said.append("")
    assert said[0] == said[1]


def test_one_that_only_torchcodec_finds_broken_costs_no_other(handler):
    # Pillow takes it, and so it is taken.
    wrong = bytearray(CHINA)
    at = wrong.index(b"\xff\xda")
    wrong[at + 20 : at + 24] = b"\xff\xd9\xff\xd9"
    decoded = handler.decoder.decode([{"data": CHINA}, {"data": bytes(wrong)}, {"data": FLOWER}])
    assert {0, 2} <= decoded.keys()


def test_detectors_too(tmp_path):
    small = [encoded(picture(size=size), "JPEG") for size in ((30, 20), (10, 40))]
    handler = served(tmp_path, ObjectDetector, decoder="torchcodec")
    found = handler.preprocess([{"data": data} for data in small])
    assert [tuple(one.shape) for one in found] == [(3, 20, 30), (3, 40, 10)]


def test_without_torchcodec_it_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(ModelError, match="decoder: torchcodec, which is not there"):
        JpegDecoder(IMAGENET, "cpu")


def test_another_decoder_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"handler\.decoder is 'dali', where"):
        served(tmp_path, decoder="dali")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device():
    rows = [{"data": CHINA}, {"data": FLOWER}]
    there, here = (JpegDecoder(IMAGENET, device).decode(rows) for device in ("cuda", "cpu"))
    for at, expected in here.items():
        torch.testing.assert_close(there[at].cpu(), expected, atol=4 / 255 / 0.224, rtol=0)
    assert ImageClassifier.decoder is None
