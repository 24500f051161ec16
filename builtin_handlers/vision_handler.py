"""``vision_handler``: images in, the model's output as lists out; the base of those for images."""

from __future__ import annotations

import functools
from abc import ABC
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from PIL import Image

from builtin_handlers.explain import STEPS, heat_map, integrated_gradients
from builtin_handlers.images import decode_image, lift_pixel_limit, to_rgb
from builtin_handlers.jpegs import JpegDecoder
from builtin_handlers.options import options_of
from builtin_handlers.requests import target_of
from builtin_handlers.transforms import AS_IT_IS, DefaultTransform, default_of, is_default
from mar_core import BaseHandler, bad_item, each_item, from_base64, payload, stacked, timed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Context

__all__ = ["VisionHandler"]


class VisionHandler(BaseHandler, ABC):
    """Reads images and gives the model a batch of tensors.

    A request carries the bytes of an image in any format that Pillow reads, its base64, a ``data:``
    URI, or numbers: nested lists or a tensor, which skip ``image_processing``.

    Attributes:
        options: What model-config.yaml says under `handler:` to a built-in handler.
        image_processing: Turns one PIL image into one tensor. The default transforms get the
            picture upright and in RGB; one that a subclass brings gets the image as decoded.
        decoder: Decodes JPEGs in its place, where model-config.yaml asks for torchcodec.
        takes_rgb: Says that an ``image_processing`` of a subclass's own gets the picture upright
            and in RGB, too.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
        "inputs": [
            {
                "name": "data",
                "type": "image",
                "description": "A picture in any format that Pillow reads.",
            }
        ]
    }
    stages_independent = True
    reads_by_context = True
    model_options = True
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed in place
    image_processing: Any = DefaultTransform(AS_IT_IS)
    decoder: JpegDecoder | None = None
    takes_rgb: ClassVar[bool] = False

    def initialize(self, context: Context) -> None:
        """Load the model, and take up what `handler:` in model-config.yaml says of pictures.

        Raises:
            ModelError: The model cannot be loaded, or an option is not what it may be.
        """
        self.options = options_of(self, getattr(context, "model_yaml_config", None))
        super().initialize(context)
        usual = default_of(self)
        if usual is not None:
            preset = usual.changed(self.options)
            if preset != usual:
                self.image_processing = DefaultTransform(preset)
            if self.options.get("decoder") == "torchcodec":
                self.decoder = JpegDecoder(preset, self.device)
        if not context.system_properties.get("limit_max_image_pixels", True):
            lift_pixel_limit()
        self.initialized = True

    @timed
    def preprocess(self, data: list[Any]) -> torch.Tensor:
        """Read a batch of requests.

        Args:
            data: The requests.

        Returns:
            float32 of shape ``[batch, channels, height, width]``, on the handler's device.

        Raises:
            PredictionException: An item is no image, or the images differ in size.
        """
        if self.decoder is None:
            images = each_item(data, self._read)
        else:
            images = each_item(
                enumerate(data), functools.partial(self._pick, self.decoder.decode(data))
            )
        batch: torch.Tensor = self._combine(images)
        return batch

    def _pick(self, decoded: dict[int, torch.Tensor], row: tuple[int, Any]) -> torch.Tensor:
        at, asked = row
        return decoded[at] if at in decoded else self._read(asked)

    def _read(self, row: Any) -> torch.Tensor:
        value = payload(row)
        if isinstance(value, str):
            value = from_base64(value, "image")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._process(decode_image(value))
        if isinstance(value, Image.Image):
            return self._process(value.copy())
        return _numbers(value)

    def _process(self, image: Image.Image) -> torch.Tensor:
        takes_rgb = self.takes_rgb or is_default(self)
        tensor: torch.Tensor = self.image_processing(to_rgb(image) if takes_rgb else image)
        return tensor

    def _combine(self, images: list[torch.Tensor]) -> Any:
        shapes = sorted({tuple(image.shape) for image in images})
        if len(shapes) > 1:
            listed = ", ".join("×".join(map(str, shape)) for shape in shapes)
            raise bad_item(
                f"the images of one batch differ in size ({listed}); resize them in "
                "image_processing, or run with --batch-size 1"
            )
        return stacked(images, self.device)

    @functools.cached_property
    def ig(self) -> Any:
        """Captum's integrated gradients of the model's scores."""
        return integrated_gradients(self._score)

    def _score(self, data: torch.Tensor) -> torch.Tensor:
        """The scores of classes, of shape ``[batch, classes]``, that are explained."""
        scores: torch.Tensor = self.model(data)
        return scores

    def get_insights(self, tensor_data: torch.Tensor, _: Any, target: Any = 0) -> list[Any]:
        """How much each value of the input spoke for a class, by integrated gradients.

        Args:
            tensor_data: The batch as ``preprocess`` returned it.
            _: The requests' data; not used.
            target: The class, or one for each item.

        Returns:
            Nested lists of the shape of ``tensor_data``.
        """
        result: list[Any] = self._attributions(tensor_data, target).tolist()
        return result

    def _attributions(self, data: torch.Tensor, target: Any) -> torch.Tensor:
        found: torch.Tensor = self.ig.attribute(data, target=target, n_steps=STEPS).detach()
        return found

    def explain_handle(self, data_preprocess: Any, raw_data: list[Any]) -> list[Any]:
        """Explain a batch.

        Args:
            data_preprocess: What ``preprocess`` returned.
            raw_data: The requests; ``target`` in one names the class to explain. Without it, that
                is the class that the model finds most probable.

        Returns:
            For each item ``target``, ``attributions``, a tensor of the input's shape, and
            ``heatmap``, the bytes of a PNG that shows where they are: red spoke for the class, blue
            against it. What a subclass's own ``get_insights`` returns is returned as it is.
        """
        targets = self._targets(data_preprocess, raw_data)
        if type(self).get_insights is not VisionHandler.get_insights:
            inputs = [payload(row) for row in raw_data]
            return self.get_insights(data_preprocess, inputs, targets)
        found = self._attributions(data_preprocess, targets).cpu()
        return [
            {"target": target, "attributions": values, "heatmap": heat_map(values)}
            for target, values in zip(targets, found, strict=True)
        ]

    def _targets(self, data: torch.Tensor, rows: list[Any]) -> list[int]:
        asked = [target_of(row) for row in rows]
        if None not in asked:
            return [target for target in asked if target is not None]
        with torch.inference_mode():
            found = self._score(data).argmax(1).tolist()
        return [
            best if target is None else target for target, best in zip(asked, found, strict=True)
        ]


def _numbers(value: Any) -> torch.Tensor:
    try:
        return torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise bad_item(
            f"a {type(value).__name__} is neither an image nor nested lists of numbers"
        ) from error
