"""JPEGs decoded by torchcodec: those of a batch together, on the model's device, and resized there.

On CUDA that is nvJPEG. What is not a plain JPEG is left to Pillow: other formats, CMYK, pictures
that lie on their side, and whatever is cut off, so that the sentence about it is Pillow's.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from mar_core import ModelError, PredictionException, from_base64, payload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builtin_handlers.transforms import Preset

__all__ = ["JpegDecoder"]

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_ORIENTATION, _UPRIGHT = 274, (None, 1)
_MODES = ("L", "RGB")


class JpegDecoder:
    """Decodes the JPEGs of a batch.

    Args:
        preset: What is done to them.
        device: Where.

    Raises:
        ModelError: torchcodec is not installed, or cannot be used here.
    """

    def __init__(self, preset: Preset, device: Any) -> None:
        try:
            from torchcodec.decoders import decode_jpeg
        except (ImportError, RuntimeError, OSError) as error:
            raise ModelError(
                "model-config.yaml asks for handler.decoder: torchcodec, which is not there: "
                f"{error}.",
                hint="Install it: `pip install 'mar-core[jpeg]'`.",
            ) from error
        self._decode: Callable[..., Any] = decode_jpeg
        self._transform = preset.make_for_tensors()
        self._device = device

    def decode(self, rows: Sequence[Any]) -> dict[int, torch.Tensor]:
        """Decode what can be.

        Args:
            rows: The requests.

        Returns:
            By place, float32 of shape ``[3, height, width]`` on the device; whatever is missing is
            left to Pillow.
        """
        found = {at: data for at, row in enumerate(rows) if (data := _plain_jpeg(row)) is not None}
        pictures = self._together(found)
        return {at: self._transform(pixels) for at, pixels in pictures.items()}

    def _together(self, found: dict[int, bytes]) -> dict[int, torch.Tensor]:
        if not found:
            return {}
        try:
            decoded = self._decode(list(found.values()), device=self._device)
            return dict(zip(found, decoded, strict=True))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            if len(found) == 1:
                return {}
            # One of them is broken, and does not say which.
            parts = [self._together({at: data}) for at, data in found.items()]
            return {at: pixels for part in parts for at, pixels in part.items()}


def _plain_jpeg(row: Any) -> bytes | None:
    """The bytes of a JPEG that is whole, upright and of no colours that need a profile."""
    try:
        value = payload(row)
        data = from_base64(value, "image") if isinstance(value, str) else value
    except PredictionException:
        return None
    if not isinstance(data, (bytes, bytearray, memoryview)):
        return None
    data = bytes(data)
    if not data.startswith(_START) or not data.rstrip(b"\0").endswith(_END):
        return None
    try:
        image = Image.open(io.BytesIO(data))
        upright = image.getexif().get(_ORIENTATION) in _UPRIGHT
    except Exception:  # noqa: BLE001 - whatever it is, Pillow says it once more
        return None
    return data if image.format == "JPEG" and image.mode in _MODES and upright else None
