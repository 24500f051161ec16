"""``speech_recognizer``: speech in, text with time stamps out, however long it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mar_core import HandlerOption, ModelError, handler_options

try:
    from mar_transformers import OPTIONS, Options, TransformersHandler
except ModuleNotFoundError as error:
    raise ModelError(
        "speech_recognizer needs mar-transformers, which is not installed.",
        hint="Install it: `pip install 'mar-audio[speech]'`.",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_transformers import Answer

__all__ = ["SpeechRecognizer"]

_TASK = "automatic-speech-recognition"
_WINDOW = 30.0
SPEECH_OPTIONS: Mapping[str, HandlerOption] = {
    **OPTIONS,
    "task": HandlerOption.one_of(_TASK),
    "output": HandlerOption.one_of("json", "text", "srt", "vtt"),
    "timestamps": HandlerOption.one_of("segment", "word", "char", "none"),
    "chunk_length_s": HandlerOption.number(1),
}


class SpeechRecognizer(TransformersHandler):
    """Writes down what is said, with a model like Whisper or with a CTC model such as wav2vec 2.0.

    A long sound is read in windows: Whisper goes on where its last segment ended, a CTC model reads
    windows of 30 seconds that overlap. In model-config.yaml, under `handler:`, besides what the
    handler `transformers` knows:

    - `timestamps`: `segment` (Whisper), `word`, `char` (CTC) or `none`; without it a segment's or a
      word's.
    - `output`: `json`, `text`, or subtitles as `srt` or `vtt`.
    - `chunk_length_s`: seconds in a window of a CTC model; 30.
    """

    signature = "mar_audio.signatures:signature_of_speech"
    stages_independent = True
    form = "json"
    timestamps: str | None = None
    window = _WINDOW

    def read_options(self, config: Mapping[str, Any] | None) -> Options:
        """Read what model-config.yaml says: of speech, and of the model.

        Raises:
            ModelError: An option is not what it may be.
        """
        read = handler_options(config, SPEECH_OPTIONS, handler="speech_recognizer")
        self.form = read.pop("output", self.form)
        self.timestamps = read.pop("timestamps", self.timestamps)
        self.window = read.pop("chunk_length_s", self.window)
        return Options(**{**read, "task": _TASK})

    def initialize(self, context: Any) -> None:
        """Load the model, and choose how it reads long sounds.

        Raises:
            ModelError: The model cannot be loaded, or does not give the time stamps asked for.
        """
        super().initialize(context)
        kind = self.loaded.pipe.type
        stamps = self.timestamps or {"seq2seq_whisper": "segment", "ctc": "word"}.get(kind, "none")
        asked: dict[str, Any] = {}
        if kind == "ctc":
            asked["chunk_length_s"] = self.window
        if stamps != "none":
            asked["return_timestamps"] = True if stamps == "segment" else stamps
        possible = {"seq2seq_whisper": ("segment", "word", "none"), "ctc": ("word", "char", "none")}
        if stamps not in possible.get(kind, ("none",)):
            raise ModelError(
                f"model-config.yaml: handler.timestamps is {stamps!r}, which this model does not "
                "give.",
                hint=f"It gives {', '.join(possible.get(kind, ('none',)))}.",
            )
        if self.form in {"srt", "vtt"} and stamps == "none":
            raise ModelError("Subtitles need time stamps, and the model or its config has none.")
        self.options = replace(self.options, parameters={**asked, **self.options.parameters})

    def postprocess(self, data: list[Answer]) -> list[Any]:
        """Write answers in the form that is wanted.

        Args:
            data: What `inference` returned.

        Returns:
            For each request `{"text": …, "chunks": [{"text": …, "timestamp": [start, end]}]}`,
            seconds from the beginning, or a text.
        """
        results = super().postprocess(data)
        return [
            [self._written(each) for each in result] if answer.many else self._written(result)
            for answer, result in zip(data, results, strict=True)
        ]

    def _written(self, result: dict[str, Any]) -> Any:
        if self.form == "text":
            return result["text"]
        chunks = result.get("chunks", [])
        if self.form == "json":
            stamped = [{**one, "timestamp": list(one["timestamp"])} for one in chunks]
            return {**result, "chunks": stamped} if "chunks" in result else result
        return _subtitles(chunks, self.form)


def _subtitles(chunks: list[dict[str, Any]], form: str) -> str:
    """Subtitles: SubRip counts them and has a comma before the milliseconds, WebVTT a point."""
    parts = [] if form == "srt" else ["WEBVTT\n"]
    for number, chunk in enumerate(chunks, 1):
        start, end = chunk["timestamp"]
        times = [_clock(start if second is None else second, form) for second in (start, end)]
        count = f"{number}\n" if form == "srt" else ""
        parts.append(f"{count}{times[0]} --> {times[1]}\n{chunk['text'].strip()}\n")
    return "\n".join(parts)


def _clock(seconds: float | None, form: str) -> str:
    whole, thousandths = divmod(round((seconds or 0.0) * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{',' if form == 'srt' else '.'}{thousandths:03}"
