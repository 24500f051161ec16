"""From the bytes of a file to samples, with what is installed."""

from __future__ import annotations

import io
import wave
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from mar_core import bad_item

__all__ = ["RATES", "decode_audio"]

# Samples a second that a file may claim: telephones have 8,000, studios 192,000.
RATES = range(1_000, 768_001)
# Silence packs to nothing: samples of all channels that one file may unpack to, 2 GiB of float32.
MOST_SAMPLES = 1 << 29
_TYPES = {1: "u1", 2: "<i2", 4: "<i4"}
_THREE_BYTES = 3


def decode_audio(data: bytes | bytearray | memoryview) -> tuple[torch.Tensor, int]:
    """Decode a file.

    WAV, FLAC, OGG, MP3, AIFF and what else libsndfile reads, by soundfile; anything that FFmpeg
    reads, by torchcodec, where that is installed; WAV by Python alone.

    Args:
        data: The bytes of the file.

    Returns:
        float32 of shape `[channels, samples]`, as a rule from -1 to 1, and the samples a second.

    Raises:
        PredictionException: It is no sound that can be read here, or one that is too long.
    """
    raw = bytes(data)
    reasons = []
    for read in (_with_soundfile, _with_torchcodec, _with_wave):
        try:
            found = read(raw)
        except _CannotError as error:
            reasons.append(str(error))
            continue
        if found is not None:
            return _checked(*found)
    reason = reasons[0] if reasons else "no decoder is installed"
    more = "" if find_spec("torchcodec") else "; torchcodec, which is not installed, reads more"
    raise bad_item(f"these {len(raw):,} bytes are no sound that can be decoded: {reason}{more}")


class _CannotError(Exception):
    """A decoder does not read the file."""


def _checked(samples: torch.Tensor, rate: int) -> tuple[torch.Tensor, int]:
    if rate not in RATES:
        raise bad_item(f"the sound claims {rate:,} samples a second")
    if samples.shape[-1] == 0:
        raise bad_item("the sound is empty: it has no samples")
    if not bool(torch.isfinite(samples).all()):
        raise bad_item("the sound has samples that are no numbers")
    return samples, rate


def _check_size(samples: int) -> None:
    if samples > MOST_SAMPLES:
        raise bad_item(f"the sound has {samples:,} samples; {MOST_SAMPLES:,} may be decoded")


def _with_soundfile(raw: bytes) -> tuple[torch.Tensor, int] | None:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: there is no libsndfile
        return None
    try:
        with soundfile.SoundFile(io.BytesIO(raw)) as file:
            _check_size(file.frames * file.channels)
            samples = file.read(dtype="float32", always_2d=True)
            return torch.from_numpy(np.ascontiguousarray(samples.T)), int(file.samplerate)
    except soundfile.LibsndfileError as error:
        raise _CannotError(str(error.error_string).rstrip(".").lower()) from error
    except (RuntimeError, ValueError, MemoryError) as error:
        raise _CannotError(str(error).rstrip(".")) from error


def _with_torchcodec(raw: bytes) -> tuple[torch.Tensor, int] | None:
    if find_spec("torchcodec") is None:
        return None
    try:
        from torchcodec.decoders import AudioDecoder

        decoder: Any = AudioDecoder(raw)
        found = decoder.metadata
        _check_size(int((found.duration_seconds_from_header or 0) * (found.sample_rate or 0)))
        samples = decoder.get_all_samples()
    except (ImportError, OSError, RuntimeError, ValueError) as error:  # no FFmpeg, or no sound
        raise _CannotError((str(error).splitlines() or ["FFmpeg cannot read it"])[0]) from error
    return samples.data.float(), int(samples.sample_rate)


def _with_wave(raw: bytes) -> tuple[torch.Tensor, int] | None:
    """Whole numbers in a WAV, without any package."""
    try:
        with wave.open(io.BytesIO(raw)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            _check_size(file.getnframes() * channels)
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise _CannotError(str(error) or "it is cut off") from error
    data = data[: len(data) // (width * channels) * width * channels]
    values = _whole_numbers(data, width).reshape(-1, channels).T
    return torch.from_numpy(np.ascontiguousarray(values)), rate


def _whole_numbers(data: bytes, width: int) -> np.ndarray[Any, Any]:
    """Samples of 8 (from 0), 16, 24 or 32 bits (from the middle) as float32 from -1 to 1."""
    if width == _THREE_BYTES:
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(parts), 4), np.uint8)
        wide[:, 1:] = parts
        return (wide.view("<i4")[:, 0] / 2**31).astype(np.float32)
    if width not in _TYPES:
        raise _CannotError(f"its samples have {8 * width} bits")
    values = np.frombuffer(data, np.dtype(_TYPES[width])).astype(np.float32)
    scale = np.float32(2 ** (8 * width - 1))
    return (values - scale if width == 1 else values) / scale
