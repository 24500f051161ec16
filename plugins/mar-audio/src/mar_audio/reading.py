"""What a request may carry for a sound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from mar_audio.decoding import RATES, decode_audio
from mar_audio.resampling import resample
from mar_core import bad_item, from_base64

__all__ = ["read_audio"]

_BYTES = (bytes, bytearray, memoryview)
_NAMES = ("array", "raw", "data")
_CHANNELS_AND_SAMPLES = 2
# More channels than any microphone has: samples lie the other way round.
_MOST_CHANNELS = 64


def read_audio(value: Any, sample_rate: int, *, mono: bool = True) -> torch.Tensor:
    """Read a sound; no path and no address is opened.

    Args:
        value: The bytes of a file, their base64, a `data:` URI, samples at the wanted rate (nested
            lists, an array or a tensor, of shape `[samples]` or `[channels, samples]`), or
            `{"array": samples, "sampling_rate": rate}`.
        sample_rate: Samples a second that are wanted.
        mono: Take the mean of the channels.

    Returns:
        float32 of shape `[samples]`; `[channels, samples]` where `mono` is false.

    Raises:
        PredictionException: It is no sound; the sentence says what is wrong.
    """
    if isinstance(value, str):
        value = from_base64(value, "sound")
    if isinstance(value, _BYTES):
        if not value:
            raise bad_item("the request is empty")
        samples, rate = decode_audio(value)
    elif isinstance(value, Mapping):
        samples, rate = _with_rate(value)
    else:
        samples, rate = _numbers(value), sample_rate
    samples = samples.mean(0) if mono else samples
    return resample(samples, rate, sample_rate)


def _with_rate(value: Mapping[str, Any]) -> tuple[torch.Tensor, int]:
    name = next((name for name in _NAMES if value.get(name) is not None), None)
    rate = value.get("sampling_rate", value.get("sample_rate"))
    if name is None or type(rate) is not int or rate not in RATES:
        listed = ", ".join(map(repr, list(value)[:6])) or "nothing"
        raise bad_item(
            f"the request holds an object with {listed}, where a sound is expected: its bytes, or "
            '{"array": [sample, …], "sampling_rate": 16000}'
        )
    return _numbers(value[name]), rate


def _numbers(value: Any) -> torch.Tensor:
    try:
        samples = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise bad_item(f"a {type(value).__name__} is no sound and no list of samples") from error
    samples = samples[None] if samples.ndim == 1 else samples
    if samples.ndim != _CHANNELS_AND_SAMPLES or samples.shape[0] > _MOST_CHANNELS:
        shape = "×".join(map(str, samples.shape)) or "a number"
        raise bad_item(f"samples are [samples] or [channels, samples], and these are {shape}")
    if samples.shape[-1] == 0 or not math.isfinite(float(samples.abs().max())):
        raise bad_item("the sound is empty, or has samples that are no numbers")
    return samples
