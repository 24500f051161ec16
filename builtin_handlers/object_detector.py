"""``object_detector``: images in, boxes with labels and scores out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from builtin_handlers.labels import label
from builtin_handlers.transforms import AS_IT_IS, DefaultTransform
from builtin_handlers.vision_handler import VisionHandler
from mar_core import PredictionException, to_device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Context

__all__ = ["ObjectDetector"]

_NOT_IMPLEMENTED = 501


class ObjectDetector(VisionHandler):
    """Finds things in images with a model in the manner of ``torchvision.models.detection``.

    ``dtype`` under `handler:` is ``torch.autocast``'s here: what chooses among boxes needs float32.

    The images of a batch may differ in size: those of one size go through the model together, so
    that no image's result depends on its neighbours.

    Attributes:
        threshold: The lowest score that is reported.
        image_processing: The image as float32 in 0 to 1, at its own size.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
        "outputs": [
            {
                "name": "boxes",
                "type": "list",
                "items": {
                    "type": "object",
                    "fields": {"score": {"type": "float32"}},
                    "values": {"type": "float32", "shape": [4]},
                },
                "description": "For each box its label with x1, y1, x2, y2 in pixels, and a score.",
                "example": [{"dog": [12.5, 30.0, 220.5, 310.0], "score": 0.98}],
            }
        ],
    }
    stages_independent = True
    reads_by_context = True
    model_options = True
    model_autocast = True
    threshold = 0.5
    image_processing: Any = DefaultTransform(AS_IT_IS)

    def initialize(self, context: Context) -> None:
        """Load the model, and take up what `handler:` in model-config.yaml says.

        Raises:
            ModelError: The model cannot be loaded, or an option is not what it may be.
        """
        super().initialize(context)
        self.threshold = self.options.get("threshold", self.threshold)

    def _combine(self, images: list[torch.Tensor]) -> Any:
        """One tensor where the images are of one size, as in TorchServe; else a list of them."""
        if len({image.shape for image in images}) == 1:
            return super()._combine(images)
        return [to_device(image, self.device) for image in images]

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the model.

        Args:
            data: float32 of shape ``[batch, 3, height, width]``, or a list of
                ``[3, height, width]`` of any sizes.
            *args: Handed to the model.
            **kwargs: Handed to the model.

        Returns:
            For each image its ``boxes`` ``[n, 4]``, ``labels`` ``[n]`` and ``scores`` ``[n]``.
        """
        if isinstance(data, torch.Tensor):
            return self._detect(data, *args, **kwargs)
        results: list[Any] = [None] * len(data)
        for shape in dict.fromkeys(image.shape for image in data):
            places = [place for place, image in enumerate(data) if image.shape == shape]
            found = self._detect(torch.stack([data[place] for place in places]), *args, **kwargs)
            for place, result in zip(places, found, strict=True):
                results[place] = result
        return results

    def _detect(self, batch: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        scripted = _takes_list(self.model)
        found = super().inference(list(batch) if scripted else batch, *args, **kwargs)
        # What torch.jit.script made of a torchvision detector returns its losses, too.
        return found[1] if scripted and isinstance(found, tuple) else found

    def postprocess(self, data: list[dict[str, torch.Tensor]]) -> list[list[dict[str, Any]]]:
        """Name what was found.

        Args:
            data: What ``inference`` returned.

        Returns:
            For each image a list of ``{label: [x1, y1, x2, y2], "score": score}``, in pixels of
            the image, the highest score first as the model gives them.
        """
        return [self._found(row) for row in data]

    def _found(self, row: dict[str, torch.Tensor]) -> list[dict[str, Any]]:
        kept = row["scores"] >= self.threshold
        columns = [row[name][kept].tolist() for name in ("labels", "boxes", "scores")]
        return [
            {label(self.mapping, index): box, "score": score}
            for index, box, score in zip(*columns, strict=True)
        ]

    def explain_handle(self, data_preprocess: Any, raw_data: Any) -> Any:
        """Refuse: boxes have no single score to explain.

        Raises:
            PredictionException: Always, unless a subclass brings its own ``get_insights``.
        """
        if type(self).get_insights is VisionHandler.get_insights:
            raise PredictionException(
                "object_detector cannot explain its answers; bring a get_insights of your own.",
                _NOT_IMPLEMENTED,
            )
        return super().explain_handle(data_preprocess, raw_data)


def _takes_list(model: Any) -> bool:
    """A scripted torchvision detector takes a list and nothing else."""
    model = getattr(model, "network", model)  # what computes in another dtype stands around it
    if not isinstance(model, torch.jit.ScriptModule):
        return False
    arguments = model.forward.schema.arguments[1:]  # type: ignore[attr-defined]
    return bool(arguments) and str(arguments[0].type).startswith("List")
