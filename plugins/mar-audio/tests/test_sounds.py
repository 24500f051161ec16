"""Sounds: decoded from each kind of file, at the rate that is wanted, or refused."""

from __future__ import annotations

import base64
import io
import struct
import sys
import wave

import numpy as np
import pytest
import soundfile
import torch
from mar_audio import decode_audio, read_audio, resample

from mar_core import PredictionException


def tone(rate, hertz=440.0, seconds=1.0):
    times = torch.arange(round(rate * seconds), dtype=torch.float64) / rate
    return torch.sin(2 * torch.pi * hertz * times).float()


def written(samples, rate, kind="WAV", subtype=None):
    stream = io.BytesIO()
    soundfile.write(stream, samples.T.numpy(), rate, format=kind, subtype=subtype)
    return stream.getvalue()


STEREO = torch.stack([tone(22_050, seconds=0.2), tone(22_050, 880.0, 0.2) / 2])


@pytest.mark.parametrize(
    ("kind", "subtype", "close"),
    [
        ("WAV", "PCM_U8", 1e-2), ("WAV", "PCM_16", 1e-4), ("WAV", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6), ("WAV", "FLOAT", 0), ("FLAC", "PCM_16", 1e-4),
        ("AIFF", "PCM_16", 1e-4), ("OGG", "VORBIS", 0.2),
    ],
)  # fmt: skip
def test_each_kind_of_file(kind, subtype, close):
    samples, rate = decode_audio(written(STEREO, 22_050, kind, subtype))
    assert rate == 22_050
    assert samples.dtype is torch.float32
    torch.testing.assert_close(samples, STEREO, rtol=0, atol=close)


@pytest.mark.parametrize(
    ("subtype", "close"),
    [("PCM_U8", 1e-2), ("PCM_16", 1e-4), ("PCM_24", 1e-6), ("PCM_32", 1e-6)],
)
def test_a_wav_needs_no_package(monkeypatch, subtype, close):
    raw = written(STEREO, 22_050, "WAV", subtype)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    samples, rate = decode_audio(raw)
    assert rate == 22_050
    torch.testing.assert_close(samples, STEREO, rtol=0, atol=close)


@pytest.mark.parametrize(
    ("rate", "wanted"), [(44_100, 16_000), (8_000, 16_000), (44_101, 16_000), (16_000, 7_919)]
)
def test_a_tone_stays_the_tone(rate, wanted):
    """Over the seam of two blocks, too, and between rates that have no factor in common."""
    got = resample(tone(rate, seconds=31.5), rate, wanted)
    expected = tone(wanted, seconds=31.5)
    assert abs(len(got) - len(expected)) <= 1
    for start, stop in ((1, 2), (29.5, 30.5)):
        part = slice(round(start * wanted), round(stop * wanted))
        torch.testing.assert_close(got[part], expected[part], rtol=0, atol=2e-3)


def test_what_the_new_rate_cannot_hold_is_gone():
    assert resample(tone(44_100, 12_000.0), 44_100, 16_000)[2_000:-2_000].abs().max() < 1e-3


def test_one_rate_is_left_alone():
    samples = tone(16_000)
    assert resample(samples, 16_000, 16_000) is samples


def test_channels_become_one():
    samples = read_audio(written(STEREO, 22_050, subtype="FLOAT"), 22_050)
    torch.testing.assert_close(samples, STEREO.mean(0))
    both = read_audio(written(STEREO, 22_050, subtype="FLOAT"), 22_050, mono=False)
    torch.testing.assert_close(both, STEREO)


def test_a_sound_in_each_form():
    raw = written(STEREO[:1], 16_000, subtype="FLOAT")
    text = base64.b64encode(raw).decode()
    expected = STEREO[0]
    for form in (
        raw, bytearray(raw), text, f"data:audio/wav;base64,{text}", STEREO[0], STEREO[0].tolist(),
        STEREO[0].numpy(), {"array": STEREO[0].tolist(), "sampling_rate": 16_000},
        {"raw": STEREO[0].tolist(), "sampling_rate": 16_000},
    ):  # fmt: skip
        torch.testing.assert_close(read_audio(form, 16_000), expected)


def with_rate(rate):
    """A WAV whose head claims a rate."""
    raw = bytearray(written(STEREO[:1], 16_000))
    struct.pack_into("<I", raw, 24, rate)
    return bytes(raw)


def silent(seconds):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 16_000 * seconds)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "empty"),
        (b"no sound at all", "15 bytes are no sound that can be decoded"),
        (written(STEREO, 22_050)[:30], "no sound that can be decoded"),
        (silent(0), "no samples"),
        (with_rate(4_000_000_000), "claims"),
        (with_rate(1), "claims 1 samples a second"),
        ("/etc/passwd", "paths are not opened"),
        ("http://127.0.0.1:1/x.wav", "paths are not opened"),
        ({"array": [0.0]}, '"sampling_rate"'),
        ({"array": [0.0], "sampling_rate": 10**9}, '"sampling_rate"'),
        ({"array": [[[0.0]]], "sampling_rate": 16_000}, "these are 1×1×1"),
        ([], "empty"),
        ([float("nan")], "no numbers"),
        (["a"], "no sound and no list of samples"),
        (7, "a number"),
    ],
)  # fmt: skip
def test_what_is_no_sound_says_why(value, says):
    with pytest.raises(PredictionException) as caught:
        read_audio(value, 16_000)
    assert says in caught.value.message
    assert caught.value.error_code == 400


def test_silence_that_unpacks_to_more_than_memory_is_refused(monkeypatch):
    import mar_audio.decoding

    raw = written(torch.zeros(1, 200_000), 16_000, "FLAC")
    assert len(raw) < 20_000
    monkeypatch.setattr(mar_audio.decoding, "MOST_SAMPLES", 100_000)
    with pytest.raises(PredictionException, match=r"200,000 samples; 100,000 may be decoded"):
        decode_audio(raw)


def test_numbers_that_are_not_finite_are_refused():
    raw = written(torch.full((1, 100), np.inf), 16_000, subtype="FLOAT")
    with pytest.raises(PredictionException, match="no numbers"):
        decode_audio(raw)
