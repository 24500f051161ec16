"""Loading a model of timm's from the unpacked archive, and from nowhere else."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from mar_core import ModelError, SavedFiles, hub_offline
from mar_timm.folder import WEIGHTS, read_config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import ModelSource

__all__ = ["load_model"]

# A library names every tensor that does not fit.
SHOWN = 400


def load_model(source: ModelSource, options: Mapping[str, Any]) -> Any:
    """Load a model in evaluation mode, on its device.

    Args:
        source: The archive, and where the model goes.
        options: What model-config.yaml says.

    Raises:
        ModelError: A file is missing, timm has no such model, or the weights do not fit it.
    """
    files = SavedFiles.in_folder(source.model_dir)
    named = files.first(WEIGHTS)
    weights = source.path or (source.model_dir / named if named else None)
    if weights is None:
        raise ModelError(
            f"The archive has no weights: neither a serialized file nor {' nor '.join(WEIGHTS)}.",
            hint="Nothing is fetched while an archive runs: archive the folder that timm saved.",
        )
    name, arguments = _what(source, files, options)
    # The weights are those of the archive, whatever else a config names: a URL, a hub.
    overlay = {"source": "", "file": str(weights), "custom_load": False}
    if "architecture" in options:
        overlay["label_offset"] = None
        # timm drops the head of weights for another number of classes, and makes one up.
        if "num_classes" in arguments:
            overlay["num_classes"] = arguments["num_classes"]
    with hub_offline():
        import timm

        try:
            model = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay, **arguments
            )
        except Exception as error:  # what is wrong with weights surfaces as anything
            reason = textwrap.shorten(str(error), SHOWN, placeholder=" …").rstrip(".")
            raise ModelError(
                f"timm {timm.__version__} cannot load {weights.name}: "
                f"{reason or type(error).__name__}."
            ) from error
    _say_size(model, arguments)
    if options.get("output") == "features":
        model.reset_classifier(0)
    return model.to(source.device).eval()


def _what(
    source: ModelSource, files: SavedFiles, options: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Which model, and the arguments that it is made with."""
    arguments = dict(options.get("model_args", {}))
    if "num_classes" in options:
        arguments["num_classes"] = options["num_classes"]
    if "architecture" in options:
        return options["architecture"], arguments
    read_config(files)
    if "num_classes" in arguments:
        raise ModelError(
            "model-config.yaml: num_classes goes with handler.architecture; here config.json says "
            "how many classes the weights have."
        )
    return f"local-dir:{source.model_dir}", arguments


def _say_size(model: Any, arguments: Mapping[str, Any]) -> None:
    """Have the preprocessing fit a model that was made for other channels, or another size."""
    channels, *size = model.pretrained_cfg["input_size"]
    asked = arguments.get("img_size", size)
    size = [asked, asked] if isinstance(asked, int) else list(asked)
    model.pretrained_cfg["input_size"] = (arguments.get("in_chans", channels), *size)
