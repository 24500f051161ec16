"""``audio_handler``, as it is and inherited from."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import soundfile
import torch

from mar_core import ModelError, load
from mar_core.testing import HandlerCase, HandlerContract, make_archive

sys.path.insert(0, str(Path(__file__).parent))
from loudness_network import Loudness

SOUNDS = [torch.randn(count, generator=torch.Generator().manual_seed(count)) / 4 for count in
          (900, 1_600, 900, 1_200)]  # fmt: skip


def wav(samples, rate=16_000, kind="WAV"):
    stream = io.BytesIO()
    soundfile.write(stream, samples.numpy(), rate, format=kind, subtype="PCM_16")
    return stream.getvalue()


class TestAudioHandler(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory):
        return HandlerCase(
            archive=make_archive(
                tmp_path_factory.mktemp("audio"), handler="audio_handler", model=Loudness()
            ),
            inputs=[wav(SOUNDS[0]), wav(SOUNDS[1], kind="FLAC"), wav(SOUNDS[2])],
            bad=b"no sound",
        )


def test_the_model_gets_the_samples(tmp_path):
    archive = make_archive(tmp_path, handler="audio_handler", model=Loudness())
    with load(archive, device="cpu", batch_size=4) as predictor:
        answers = predictor.predict([{"data": one.tolist()} for one in SOUNDS])
    expected = [[one.square().mean().item(), len(one)] for one in SOUNDS]
    torch.testing.assert_close(torch.tensor(answers), torch.tensor(expected))


def test_another_rate_by_the_config(tmp_path):
    config = {"handler": {"sample_rate": 8_000}}
    archive = make_archive(tmp_path, handler="audio_handler", model=Loudness(), config=config)
    with load(archive, device="cpu") as predictor:
        ((_, count),) = predictor.predict([wav(SOUNDS[1])])
    assert count == 800


@pytest.mark.parametrize("rate", [0, 8_000.5, "fast", True])
def test_a_rate_that_is_none(tmp_path, rate):
    config = {"handler": {"sample_rate": rate}}
    archive = make_archive(tmp_path, handler="audio_handler", model=Loudness(), config=config)
    with pytest.raises(ModelError, match=r"handler\.sample_rate is"):
        load(archive, device="cpu")


OWN = '''
import torch
from mar_audio import AudioHandler


class Own(AudioHandler):
    """Both channels, and the spectrum of each."""

    stages_independent = True
    mono = False

    def initialize(self, context):
        self.device = torch.device("cpu")
        self.model = lambda spectra: {"loudest": spectra.argmax(-1)}
        self.initialized = True

    def audio_processing(self, samples):
        return torch.fft.rfft(samples).abs()

    def postprocess(self, data):
        return [{"loudest": one["loudest"].tolist()} for one in data]
'''


def test_a_class_of_ones_own(tmp_path):
    handler = tmp_path / "own.py"
    handler.write_text(OWN, encoding="utf-8")
    archive = make_archive(tmp_path, handler=handler)
    times = torch.arange(1_600) / 16_000
    both = torch.stack([torch.sin(2 * torch.pi * hertz * times) for hertz in (400, 1_000)])
    with load(archive, device="cpu", batch_size=2) as predictor:
        requests = [{"array": both.tolist(), "sampling_rate": 16_000}] * 2
        assert predictor.predict(requests) == [{"loudest": [40, 100]}] * 2
