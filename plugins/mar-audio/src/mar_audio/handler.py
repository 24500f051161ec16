"""``audio_handler``: sounds in, the model's output as lists out; the base of those for sounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from mar_audio.decoding import RATES
from mar_audio.reading import read_audio
from mar_core import BaseHandler, HandlerOption, each_item, handler_options, payload, timed

if TYPE_CHECKING:
    from mar_core import Context

__all__ = ["AudioHandler"]


def _rate(value: Any) -> int:
    if type(value) is not int or value not in RATES:
        raise ValueError
    return value


OPTIONS: Mapping[str, HandlerOption] = {
    "sample_rate": HandlerOption(
        f"a whole number from {RATES.start:,} to {RATES.stop - 1:,}", _rate
    ),
}


class AudioHandler(BaseHandler):
    """Reads sounds and gives the model batches of samples: what a handler for sounds inherits.

    A request carries the bytes of a file (WAV, FLAC, OGG, MP3, …), its base64, a `data:` URI,
    samples as nested lists, or `{"array": samples, "sampling_rate": rate}`. The model gets float32
    of shape `[batch, samples]`, or `[batch, channels, samples]` where `mono` is false. Sounds of a
    batch differ in length; those of one length go through the model together, so that no answer
    depends on its neighbours.

    Override `audio_processing` to make features of a sound, and `postprocess` to name results.

    Attributes:
        sample_rate: Samples a second that the model takes; `handler: {sample_rate: …}` in
            model-config.yaml changes it.
        mono: Whether the model takes one channel, the mean of those that are there.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
        "inputs": [
            {
                "name": "data",
                "type": "bytes",
                "description": "A sound: WAV, FLAC, OGG, MP3 or another format.",
            }
        ]
    }
    stages_independent = True
    bucket_by_length = True
    sample_rate: int = 16_000
    mono: bool = True

    def initialize(self, context: Context) -> None:
        """Load the model, and take up what model-config.yaml says of the rate.

        Raises:
            ModelError: The model cannot be loaded, or the rate is none.
        """
        own = type(self) is AudioHandler  # keys of a class that inherits are its own
        options = handler_options(
            context.model_yaml_config,
            OPTIONS,
            handler="audio_handler",
            unknown="refuse" if own else "ignore",
        )
        self.sample_rate = options.get("sample_rate", self.sample_rate)
        super().initialize(context)

    def audio_processing(self, samples: torch.Tensor) -> torch.Tensor:
        """Turn one sound into one input of the model; here it is the samples themselves.

        Args:
            samples: float32 of shape `[samples]`, at `sample_rate`; `[channels, samples]` where
                `mono` is false.
        """
        return samples

    @timed
    def preprocess(self, data: list[Any]) -> list[torch.Tensor]:
        """Read a batch of requests.

        Args:
            data: The requests.

        Returns:
            For each what `audio_processing` made of it, on the handler's device.

        Raises:
            PredictionException: An item is no sound.
        """
        return each_item(data, self._read)

    @timed
    def inference(self, data: list[torch.Tensor], *args: Any, **kwargs: Any) -> list[Any]:
        """Run the model on inputs of one shape at a time.

        Args:
            data: What `preprocess` returned.
            *args: Handed to the model.
            **kwargs: Handed to the model.

        Returns:
            For each input its part of the output.
        """
        places: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, one in enumerate(data):
            places[tuple(one.shape)].append(place)
        results: list[Any] = [None] * len(data)
        for group in places.values():
            batch = torch.stack([data[place] for place in group])
            output = super().inference(batch, *args, **kwargs)
            for at, place in enumerate(group):
                results[place] = _row(output, at)
        return results

    @timed
    def postprocess(self, data: list[Any]) -> list[Any]:
        """Turn outputs into nested lists.

        Args:
            data: What `inference` returned.
        """
        return [_listed(one) for one in data]

    def _read(self, row: Any) -> torch.Tensor:
        value = payload(row, form=True)
        value = value["inputs"] if isinstance(value, Mapping) and "inputs" in value else value
        samples = read_audio(value, self.sample_rate, mono=self.mono)
        return self.audio_processing(samples).to(self.device)


def _row(output: Any, at: int) -> Any:
    """One item's part of a batch's output: of a tensor, or of each tensor in a dict or a tuple."""
    if isinstance(output, Mapping):
        return {name: _row(value, at) for name, value in output.items()}
    if isinstance(output, (tuple, list)):
        return [_row(value, at) for value in output]
    return output[at]


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _listed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_listed(one) for one in value]
    return value.detach().cpu().tolist() if isinstance(value, torch.Tensor) else value
