"""From what a request carries to a picture, and to the RGB that networks are trained on."""

from __future__ import annotations

import base64
import binascii
import io
import urllib.parse
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

from builtin_handlers.requests import bad_item

if TYPE_CHECKING:
    import torch

__all__ = ["decode", "from_text", "lift_pixel_limit", "to_rgb", "to_tensor"]

_DEEP_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_SHOWN = 24


def from_text(text: str) -> bytes:
    """The bytes that a string stands for: base64, or a ``data:`` URI.

    Raises:
        PredictionException: It is neither.
    """
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma:
            raise bad_item("the data: URI has no comma, and so no data")
        if not head.lower().endswith(";base64"):
            return urllib.parse.unquote_to_bytes(text)
        text = urllib.parse.unquote(text)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise bad_item(
            f"the text {shown!r} is not an image in base64; send the image's bytes, its base64, "
            "or a data: URI"
        ) from error


def decode(data: bytes | bytearray | memoryview) -> Image.Image:
    """Open an image and read its pixels.

    Raises:
        PredictionException: It is no image, is damaged, or has more pixels than is safe.
    """
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except UnidentifiedImageError as error:
        raise bad_item(f"these {len(data):,} bytes are no image that Pillow knows") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise bad_item(
            f"the image is too large to be safe: {str(error).rstrip('.')}; if you trust it, run "
            "with --no-pixel-limit"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError) as error:
        raise bad_item(f"the image cannot be decoded: {str(error).rstrip('.')}") from error
    return image


def lift_pixel_limit() -> None:
    """Take images of any size, for the whole process: the user has asked for it."""
    Image.MAX_IMAGE_PIXELS = None


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture as a person sees it, in RGB, 8 bits a channel.

    The camera's rotation is applied, 16 bits are scaled to 8, transparency lies on white.

    Args:
        image: A decoded image of any mode; a rotation is applied to it in place.

    Returns:
        The same picture, of mode ``RGB``.

    Raises:
        PredictionException: Its pixels are floating-point numbers of no known range.
    """
    ImageOps.exif_transpose(image, in_place=True)  # otherwise it copies what needs no turning
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise bad_item("the image has floating-point pixels; save it with 8 or 16 bits a channel")
    if image.mode in _DEEP_GREY:
        image = _scale_to_8_bits(image)
    if image.has_transparency_data:
        return _on_white(image)
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise bad_item(f"the image's colours, {image.mode}, cannot be turned into RGB") from error


def to_tensor(image: Image.Image) -> torch.Tensor:
    """The picture as float32 of shape ``[3, height, width]`` in 0 to 1."""
    from torchvision.transforms import functional

    tensor: torch.Tensor = functional.to_tensor(image)
    return tensor


def _scale_to_8_bits(image: Image.Image) -> Image.Image:
    """Pillow's own conversion cuts everything above 255 off."""
    import numpy as np

    pixels = np.asarray(image, dtype=np.float64)
    return Image.fromarray((pixels.clip(0, 65535) / 257).round().astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")
