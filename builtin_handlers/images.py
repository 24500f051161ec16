"""From bytes to a picture, and to the RGB that networks are trained on."""

from __future__ import annotations

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from mar_core import bad_item

__all__ = ["decode_image", "lift_pixel_limit", "to_rgb"]

_DEEP_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def decode_image(data: bytes | bytearray | memoryview) -> Image.Image:
    """Open an image and read its pixels.

    Args:
        data: The bytes of a file in any format that Pillow reads.

    Returns:
        The image as decoded: of any mode, its rotation not yet applied.

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


def _scale_to_8_bits(image: Image.Image) -> Image.Image:
    """Pillow's own conversion cuts everything above 255 off."""
    import numpy as np

    pixels = np.asarray(image, dtype=np.float64)
    return Image.fromarray((pixels.clip(0, 65535) / 257).round().astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")
