"""``audio_handler``: sounds in, the model's output as lists out; the base of those for sounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from mar_audio.decoding import RATES
from mar_audio.reading import read_audio
from mar_core import BaseHandler, ModelError, bad_item, each_item, timed

if TYPE_CHECKING:
    from mar_core import Context

__all__ = ["AudioHandler"]


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

    stages_independent = True
    bucket_by_length = True
    sample_rate: int = 16_000
    mono: bool = True

    def initialize(self, context: Context) -> None:
        """Load the model, and take up what model-config.yaml says of the rate.

        Raises:
            ModelError: The model cannot be loaded, or the rate is none.
        """
        given = (context.model_yaml_config or {}).get("handler")
        rate = given.get("sample_rate", self.sample_rate) if isinstance(given, dict) else None
        rate = self.sample_rate if rate is None else rate
        if type(rate) is not int or rate not in RATES:
            raise ModelError(
                f"model-config.yaml: handler.sample_rate is {rate!r}, where a whole number from "
                f"{RATES.start:,} to {RATES.stop - 1:,} is expected."
            )
        self.sample_rate = rate
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
        samples = read_audio(self.payload(row), self.sample_rate, mono=self.mono)
        return self.audio_processing(samples).to(self.device)

    @staticmethod
    def payload(row: Any) -> Any:
        """What a request carries: its `data`, else its `body`, else an `array` with its rate.

        Raises:
            PredictionException: It has none of them.
        """
        if not isinstance(row, Mapping):
            return row
        value = next((row[key] for key in ("data", "body") if row.get(key) is not None), None)
        if value is not None:
            return value["inputs"] if isinstance(value, Mapping) and "inputs" in value else value
        if "array" in row or "raw" in row:
            return row
        names = ", ".join(map(repr, row)) or "nothing"
        raise bad_item(f"the request has {names}, where 'data' or 'body' is expected")


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
