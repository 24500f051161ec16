"""What is done to pictures before the network gets them.

The transforms are made when they are first used: torchvision costs a second to import.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

__all__ = ["AS_IT_IS", "IMAGENET", "DefaultTransform", "Preset", "default_of", "is_default"]

# ImageNet's networks are evaluated on the inner 224 of 256 pixels.
_MARGIN = 256 / 224


@dataclass(frozen=True, slots=True)
class Preset:
    """Resizing, cropping and normalising.

    Attributes:
        resize: The shorter side, or height and width; None leaves the picture's own.
        size: What is cropped from the centre: a square, or height and width; None crops nothing.
        mean: What is subtracted from each channel.
        std: What each channel is divided by.
    """

    resize: int | tuple[int, int] | None = None
    size: int | tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def changed(self, options: Mapping[str, Any]) -> Preset:
        """The preset with some of it said anew.

        Args:
            options: ``resize``, ``size``, ``mean`` and ``std``, as far as they are given. A new
                size takes the picture's resizing along.
        """
        said = {
            name: options[name] for name in ("resize", "size", "mean", "std") if name in options
        }
        size = said.get("size")
        if size is not None and "resize" not in said:
            said["resize"] = round(size * _MARGIN) if isinstance(size, int) else size
        return replace(self, **said)

    def make(self) -> Callable[[Any], Any]:
        """The transform: from a PIL image to float32 of shape ``[3, height, width]``."""
        from torchvision import transforms

        steps: list[Any] = []
        if self.resize is not None:
            steps.append(transforms.Resize(self.resize))
        if self.size is not None:
            steps.append(transforms.CenterCrop(self.size))
        steps.append(transforms.ToTensor())
        if self.mean is not None or self.std is not None:
            mean, std = self.mean or (0.0, 0.0, 0.0), self.std or (1.0, 1.0, 1.0)
            steps.append(transforms.Normalize(mean=list(mean), std=list(std)))
        transform: Callable[[Any], Any] = transforms.Compose(steps)
        return transform

    def make_for_tensors(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The same for pixels: from uint8 of shape ``[3, height, width]``, on any device."""
        from torchvision.transforms import functional

        def transform(pixels: torch.Tensor) -> torch.Tensor:
            if self.resize is not None:
                size = [self.resize] if isinstance(self.resize, int) else list(self.resize)
                pixels = functional.resize(pixels, size, antialias=True)
            if self.size is not None:
                pixels = functional.center_crop(pixels, self.size)
            picture = pixels.float() / 255
            if self.mean is not None or self.std is not None:
                mean, std = self.mean or (0.0, 0.0, 0.0), self.std or (1.0, 1.0, 1.0)
                picture = functional.normalize(picture, list(mean), list(std))
            return picture

        return transform


IMAGENET = Preset(resize=256, size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
AS_IT_IS = Preset()


class DefaultTransform:
    """A class attribute that makes its transform once, at the first look.

    A subclass or an instance that sets ``image_processing`` of its own replaces it, as it would
    replace any attribute. An instance that sets one of these calls it.

    Args:
        preset: What the transform does.
    """

    def __init__(self, preset: Preset) -> None:
        self.preset = preset
        self._made: Callable[[Any], Any] | None = None

    def __get__(self, instance: object, owner: type | None = None) -> Callable[[Any], Any]:
        return self._transform()

    def __call__(self, image: Any) -> Any:
        """A PIL image as float32 of shape ``[3, height, width]``."""
        return self._transform()(image)

    def _transform(self) -> Callable[[Any], Any]:
        if self._made is None:
            self._made = self.preset.make()
        return self._made


def is_default(handler: object) -> bool:
    """Whether a handler's ``image_processing`` is one of ours."""
    return default_of(handler) is not None


def default_of(handler: object) -> Preset | None:
    """What a handler's ``image_processing`` does, where it is one of ours; else None."""
    found = inspect.getattr_static(handler, "image_processing", None)
    return found.preset if isinstance(found, DefaultTransform) else None
