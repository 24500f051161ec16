"""The class of every pixel as a picture, for all handlers that segment."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    import numpy as np

__all__ = ["class_map", "png_of"]

_COLOURS = 256
# In a picture of classes: no class at all. PASCAL VOC calls it void.
_VOID, _DEEP_VOID = 255, 65_535


def class_map(classes: np.ndarray[Any, Any]) -> bytes:
    """A picture of classes, in colours where a palette is large enough for them.

    Args:
        classes: Whole numbers of shape ``[height, width]``; -1 where there is no class.

    Returns:
        The bytes of a PNG whose pixel values are the classes, of 8 bits or, where 255 of them are
        not enough, of 16; where there is no class, the largest value.
    """
    nothing = classes < 0
    if int(classes.max()) + bool(nothing.any()) >= _COLOURS:
        deep = classes.copy()
        deep[nothing] = _DEEP_VOID
        return png_of(Image.fromarray(deep.astype("uint16")))
    flat = classes.copy()
    flat[nothing] = _VOID
    image = Image.fromarray(flat.astype("uint8"))
    image.putpalette([_channel(index, shift) for index in range(_COLOURS) for shift in range(3)])
    return png_of(image)


def _channel(index: int, shift: int) -> int:
    """PASCAL VOC's colours, far apart for neighbouring classes: the bits of a class, spread."""
    value = 0
    for level in range(7, -1, -1):
        value |= ((index >> shift) & 1) << level
        index >>= 3
    return value


def png_of(image: Image.Image) -> bytes:
    """The bytes of a PNG.

    Args:
        image: The picture.
    """
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()
