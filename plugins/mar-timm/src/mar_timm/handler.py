"""``timm``: images in; the most probable classes, or features, out."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from mar_core import VisionHandler, bad_item, timed
from mar_timm.loading import load_model
from mar_timm.options import read_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from PIL import Image

    from mar_core import Context, ModelSource

__all__ = ["TimmHandler"]

TOPK = 5
GREY, COLOURED = 1, 3
# What timm calls weights for ImageNet's classes, such as `a1_in1k`.
IMAGENET = re.compile(r"(^|_)in(1|12|21|22)k(_|$)")


class TimmHandler(VisionHandler):
    """Runs a model of timm's with the preprocessing that its config says.

    A request is what ``VisionHandler`` takes: the bytes of an image, its base64, or numbers.

    Attributes:
        options: What model-config.yaml says under ``handler:``.
    """

    signature = "mar_timm.signatures:signature_of"
    stages_independent = True
    model_options = True
    takes_rgb = True
    _names: Sequence[str] = ()

    def initialize(self, context: Context) -> None:
        """Load the model, its preprocessing, and the names of its classes.

        Raises:
            ModelError: It cannot be loaded, or an option is not what it may be.
        """
        super().initialize(context)
        if self.mapping is not None:
            self._names = [self.mapping.get(str(at), name) for at, name in enumerate(self._names)]
        self._names = _told_apart(self._names)

    def model_from_source(self, source: ModelSource) -> Any:
        """Load timm's model, its preprocessing, and the names of its classes.

        Raises:
            ModelError: It cannot be loaded, or an option is not what it may be.
        """
        self.options = read_options(self.model_yaml_config)
        model = load_model(source, self.options)
        from timm.data import resolve_model_data_config  # load_model has imported timm, offline

        self.image_processing = _Processing(resolve_model_data_config(model))
        self._names = _names_of(model)
        return model

    @timed
    def postprocess(self, data: torch.Tensor) -> list[Any]:
        """Name the most probable classes; or give features as they are.

        Args:
            data: Scores of shape ``[batch, classes]``, or features of shape ``[batch, features]``.

        Returns:
            For each image its ``topk`` classes and their probabilities, the most probable first; or
            its features, a tensor of shape ``[features]``.
        """
        if not self._names:
            return list(data.float().cpu())
        sigmoid = self.options.get("activation") == "sigmoid"
        scores = data.sigmoid() if sigmoid else data.softmax(dim=1)
        count = min(self.options.get("topk", TOPK), scores.shape[1])
        values, places = scores.topk(count, dim=1)
        return [
            {self._names[place]: value for place, value in zip(*row, strict=True)}
            for row in zip(places.tolist(), values.tolist(), strict=True)
        ]


class _Processing:
    """timm's transform for evaluation, for as many channels as the model takes.

    Args:
        config: What timm resolved for the model.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        from timm.data import create_transform

        self._channels = config["input_size"][0]
        fitting = {}
        for key in ("mean", "std"):
            # A model that was changed to other channels may keep the numbers for three.
            fits = len(config[key]) in {1, self._channels}
            fitting[key] = config[key] if fits else (sum(config[key]) / len(config[key]),)
        self._transform = create_transform(**{**config, **fitting}, is_training=False)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """An image in RGB as float32 of shape ``[channels, height, width]``.

        Raises:
            PredictionException: The model takes something that no image has.
        """
        if self._channels == GREY:
            image = image.convert("L")
        elif self._channels != COLOURED:
            raise bad_item(
                f"the model takes {self._channels} channels, which no image has; send numbers"
            )
        tensor: torch.Tensor = self._transform(image)
        return tensor


def _names_of(model: Any) -> list[str]:
    """The names of a model's classes: those of its config, ImageNet's, or numbers.

    Without classes, as a model for features has none, there are no names.
    """
    config, count = model.pretrained_cfg, model.num_classes
    names = config.get("label_names")
    told = config.get("label_descriptions")
    if isinstance(names, list) and len(names) == count:
        described = told if isinstance(told, dict) else {}
        return [str(described.get(name, name)) for name in names]
    if isinstance(told, list) and len(told) == count:
        return [str(name) for name in told]
    if IMAGENET.search(config.get("tag") or ""):
        from timm.data import ImageNetInfo, infer_imagenet_subset

        subset = infer_imagenet_subset(model)
        if subset is not None:
            return list(ImageNetInfo(subset).label_descriptions())
    return [str(number) for number in range(count)]


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names of which no two are alike: ImageNet has two kinds of crane."""
    often = Counter(names)
    return [f"{name} ({at})" if often[name] > 1 else name for at, name in enumerate(names)]
