"""``vision_handler``: images in, the model's output as lists out; the base of those for images."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from PIL import Image

from builtin_handlers.images import decode, from_text, lift_pixel_limit, to_rgb
from builtin_handlers.requests import bad_item, each, payload
from builtin_handlers.transforms import DefaultTransform, image_tensor, is_default
from mar_core import BaseHandler

if TYPE_CHECKING:
    from mar_core import Context

__all__ = ["VisionHandler"]


class VisionHandler(BaseHandler, ABC):
    """Reads images and gives the model a batch of tensors.

    A request carries the bytes of an image in any format that Pillow reads, its base64, a ``data:``
    URI, or numbers: nested lists or a tensor, which skip ``image_processing``.

    Attributes:
        image_processing: Turns one PIL image into one tensor. The default transforms get the
            picture upright and in RGB; one that a subclass brings gets the image as decoded.
    """

    stages_independent = True
    image_processing: ClassVar[Any] = DefaultTransform(image_tensor)

    def initialize(self, context: Context) -> None:
        """Load the model, and lift the limit on an image's pixels where the user said so."""
        super().initialize(context)
        if not context.system_properties.get("limit_max_image_pixels", True):
            lift_pixel_limit()
        self.initialized = True

    def preprocess(self, data: list[Any]) -> torch.Tensor:
        """Read a batch of requests.

        Args:
            data: The requests.

        Returns:
            float32 of shape ``[batch, channels, height, width]``, on the handler's device.

        Raises:
            PredictionException: An item is no image, or the images differ in size.
        """
        return self._stack(each(data, self._read)).to(self.device)

    def _read(self, row: Any) -> torch.Tensor:
        value = payload(row)
        if isinstance(value, str):
            value = from_text(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._process(decode(value))
        if isinstance(value, Image.Image):
            return self._process(value.copy())
        return _numbers(value)

    def _process(self, image: Image.Image) -> torch.Tensor:
        tensor: torch.Tensor = self.image_processing(to_rgb(image) if is_default(self) else image)
        return tensor

    @staticmethod
    def _stack(images: list[torch.Tensor]) -> torch.Tensor:
        shapes = sorted({tuple(image.shape) for image in images})
        if len(shapes) > 1:
            listed = ", ".join("×".join(map(str, shape)) for shape in shapes)
            raise bad_item(
                f"the images of one batch differ in size ({listed}); resize them in "
                "image_processing, or run with --batch-size 1"
            )
        return torch.stack(images)


def _numbers(value: Any) -> torch.Tensor:
    try:
        return torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise bad_item(
            f"a {type(value).__name__} is neither an image nor nested lists of numbers"
        ) from error
