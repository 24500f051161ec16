"""The default transforms, made when they are first used: torchvision costs a second to import."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DefaultTransform", "image_tensor", "imagenet", "is_default"]


class DefaultTransform:
    """A class attribute that makes its transform once, at the first look.

    A subclass or an instance that sets ``image_processing`` of its own replaces it, as it would
    replace any attribute.

    Args:
        make: Returns the transform.
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._make = make
        self._made: Callable[[Any], Any] | None = None

    def __get__(self, instance: object, owner: type | None = None) -> Callable[[Any], Any]:
        if self._made is None:
            self._made = self._make()
        return self._made


def is_default(handler: object) -> bool:
    """Whether a handler's ``image_processing`` is still one of ours."""
    return isinstance(inspect.getattr_static(handler, "image_processing", None), DefaultTransform)


def image_tensor() -> Callable[[Any], Any]:
    """The image as float32 of shape ``[3, height, width]`` in 0 to 1."""
    from torchvision import transforms

    transform: Callable[[Any], Any] = transforms.Compose([transforms.ToTensor()])
    return transform


def imagenet() -> Callable[[Any], Any]:
    """What ImageNet's networks are evaluated with: float32 of shape ``[3, 224, 224]``."""
    from torchvision import transforms

    transform: Callable[[Any], Any] = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    return transform
