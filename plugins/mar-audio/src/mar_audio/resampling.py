"""From one number of samples a second to another."""

from __future__ import annotations

import torch

__all__ = ["resample"]

# Seconds that are worked on at once, and what is added on both sides so that no seam is heard.
_BLOCK, _MARGIN = 30, 1
# Where the highest tones begin to fade, as a share of what is kept: cut off at once, they ring.
_FADED_FROM = 0.95


def resample(samples: torch.Tensor, rate: int, wanted: int) -> torch.Tensor:
    """Give a sound another number of samples a second.

    What lies above half of either rate is taken out of the sound's spectrum. A second of samples
    becomes a second of samples, so that the work goes block by block, whatever the rates.

    Args:
        samples: float32 of shape `[…, samples]`.
        rate: Samples a second now.
        wanted: Samples a second then.

    Returns:
        float32 of shape `[…, ceil(samples * wanted / rate)]`, on the same device.
    """
    if rate == wanted:
        return samples
    length = samples.shape[-1]
    seconds = -(-length // rate)
    padded = torch.nn.functional.pad(samples, (_MARGIN * rate, (seconds + _MARGIN) * rate - length))
    parts = []
    for start in range(0, seconds, _BLOCK):
        count = min(_BLOCK, seconds - start)
        block = padded[..., start * rate : (start + count + 2 * _MARGIN) * rate]
        done = _whole_seconds(block, rate, wanted)
        parts.append(done[..., _MARGIN * wanted : (_MARGIN + count) * wanted])
    return torch.cat(parts, dim=-1)[..., : -(-length * wanted // rate)]


def _whole_seconds(block: torch.Tensor, rate: int, wanted: int) -> torch.Tensor:
    """A block of whole seconds; its margins are faded, for a spectrum takes a sound as a circle."""
    seconds = block.shape[-1] // rate
    ramp = torch.linspace(0, 1, _MARGIN * rate, dtype=block.dtype, device=block.device)
    faded = block.clone()
    faded[..., : len(ramp)] *= ramp
    faded[..., -len(ramp) :] *= ramp.flip(0)
    spectrum = torch.fft.rfft(faded)
    most = seconds * min(rate, wanted) // 2
    spectrum[..., most:] = 0
    start = int(most * _FADED_FROM)
    fade = torch.linspace(0, torch.pi / 2, most - start, dtype=block.dtype, device=block.device)
    spectrum[..., start:most] *= fade.cos()
    found: torch.Tensor = torch.fft.irfft(spectrum, n=seconds * wanted)
    return found * (wanted / rate)
