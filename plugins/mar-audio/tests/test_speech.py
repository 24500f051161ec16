"""``speech_recognizer``: Whisper and CTC, with time stamps, long recordings, and subtitles."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import tiny_transformers
import transformers as hf
from tiny_transformers import close

from mar_core import Failure, ModelError, archive, load
from mar_core.testing import HandlerCase, HandlerContract

RATE = 16_000
# Of a tiny model's attention to one frame there is no deviation.
pytestmark = pytest.mark.filterwarnings(r"ignore:std\(\). degrees of freedom:UserWarning")


def noise(seed, seconds):
    return np.random.default_rng(seed).standard_normal(round(RATE * seconds)).astype(np.float32)


def flac(samples):
    stream = io.BytesIO()
    soundfile.write(stream, samples / 8, RATE, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def heard(raw):
    return soundfile.read(io.BytesIO(raw), dtype="float32")[0]


SHORT = [flac(noise(seed, seconds)) for seed, seconds in ((1, 0.4), (2, 0.7), (3, 0.4))]


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    folders, opened = {}, []

    def open_one(name, **options):
        folder = tmp_path_factory.mktemp("speech")
        if name not in folders:
            folders[name] = tiny_transformers.save(name, folder / name)
        config = folder / "model-config.yaml"
        config.write_text(f"handler: {options or {}}\n", encoding="utf-8")
        made = archive(
            source=folders[name],
            handler="speech_recognizer",
            config_file=config,
            export_path=folder,
        )
        opened.append(load(made, device="cpu", batch_size=4))
        return opened[-1]

    def own(name):
        return hf.pipeline("automatic-speech-recognition", model=str(folders[name]), device="cpu")

    yield open_one, own
    for one in opened:
        one.close()


class TestSpeechRecognizer(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("contract")
        source = tiny_transformers.save("ctc", folder / "ctc")
        made = archive(source=source, handler="speech_recognizer", export_path=folder)
        return HandlerCase(archive=made, inputs=SHORT, bad=b"no sound")


def listed(answer):
    chunks = [{**one, "timestamp": list(one["timestamp"])} for one in answer["chunks"]]
    return {**answer, "chunks": chunks}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("ctc", {"return_timestamps": "word", "chunk_length_s": 30}),
        ("whisper", {"return_timestamps": True}),
    ],
)
def test_time_stamps_are_those_of_the_library(speech, name, asked):
    open_one, own = speech
    predictor = open_one(name)
    expected = [listed(own(name)(heard(raw), **asked)) for raw in SHORT]
    assert all(one["chunks"] for one in expected)
    assert close([predictor.predict([raw])[0] for raw in SHORT], expected)
    assert close(predictor.predict(SHORT), expected)
    mixed = predictor.predict([SHORT[0], b"no sound", *SHORT[1:]], on_error="return")
    assert isinstance(mixed.pop(1), Failure)
    assert close(mixed, expected)


@pytest.mark.parametrize(("name", "window"), [("ctc", 1.0), ("whisper", 30)])
def test_a_long_recording(speech, name, window):
    open_one, own = speech
    long = flac(noise(7, 3.5 if name == "ctc" else 32))
    asked = {"return_timestamps": "word", "chunk_length_s": 1.0} if name == "ctc" else {
        "return_timestamps": True
    }  # fmt: skip
    (answer,) = open_one(name, chunk_length_s=window).predict([long])
    assert close(answer, listed(own(name)(heard(long), **asked)))
    starts = [one["timestamp"][0] or 0.0 for one in answer["chunks"]]
    assert max(starts) > (2.5 if name == "ctc" else 15)


def test_words_of_whisper(speech):
    open_one, own = speech
    predictor = open_one("whisper", timestamps="word")
    expected = listed(own("whisper")(heard(SHORT[1]), return_timestamps="word"))
    assert close(predictor.predict([SHORT[1]]), [expected])


@pytest.mark.parametrize(
    ("form", "begins", "arrow"), [("srt", "1\n00:00:00,", ","), ("vtt", "WEBVTT\n\n00:00:00.", ".")]
)
def test_subtitles(speech, form, begins, arrow):
    open_one, _ = speech
    predictor = open_one("ctc", output=form)
    (text,) = predictor.predict([SHORT[0]])
    assert text.startswith(begins)
    assert f"{arrow}" in text.partition(" --> ")[2]


def test_text_alone(speech):
    open_one, own = speech
    (text,) = open_one("ctc", output="text", timestamps="none").predict([SHORT[0]])
    assert text == own("ctc")(heard(SHORT[0]))["text"]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("ctc", {"timestamps": "segment"}, "does not give"),
        ("whisper", {"timestamps": "char"}, "does not give"),
        ("ctc", {"timestamps": "often"}, "handler.timestamps is 'often'"),
        ("ctc", {"output": "doc"}, "handler.output is 'doc'"),
        ("ctc", {"output": "srt", "timestamps": "none"}, "Subtitles need time stamps"),
        ("ctc", {"chunk_length_s": 0}, "chunk_length_s is 0"),
        ("ctc", {"window": 3}, "no option 'window'"),
    ],
)
def test_options_that_are_none_are_named(speech, name, options, says):
    with pytest.raises(ModelError, match=says):
        speech[0](name, **options)
