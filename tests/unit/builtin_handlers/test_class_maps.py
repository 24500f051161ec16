"""The class of every pixel as a picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mar_core import class_map


@pytest.mark.parametrize(
    ("classes", "mode", "nothing"),
    [([[0, 1], [2, -1]], "P", 255), ([[254, -1]], "P", 255), ([[255, 3]], "P", None),
     ([[255, -1]], "I;16", 65_535), ([[300, 0]], "I;16", None)],
)  # fmt: skip
def test_pixels_are_classes(classes, mode, nothing):
    wanted = np.array(classes)
    image = Image.open(io.BytesIO(class_map(wanted)))
    assert image.mode == mode
    found = np.asarray(image)
    assert (found[wanted >= 0] == wanted[wanted >= 0]).all()
    assert (found[wanted < 0] == nothing).all()
    assert (wanted == np.array(classes)).all(), "it is left as it was"


def test_the_colours_are_those_of_pascal_voc():
    image = Image.open(io.BytesIO(class_map(np.array([[0, 1, 2, 15, 20]]))))
    colours = [image.convert("RGB").getpixel((at, 0)) for at in range(5)]
    assert colours == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (192, 128, 128), (0, 64, 128)]
