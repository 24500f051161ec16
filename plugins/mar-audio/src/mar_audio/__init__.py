"""Sounds for handlers: decoded, in one channel, at the rate that a model takes.

What is public is here. Names are loaded when they are first used: `import mar_audio` imports no
torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mar_audio.decoding import decode_audio as decode_audio
    from mar_audio.handler import AudioHandler as AudioHandler
    from mar_audio.reading import read_audio as read_audio
    from mar_audio.resampling import resample as resample
    from mar_audio.speech import SpeechRecognizer as SpeechRecognizer

_HOME = {
    "AudioHandler": "mar_audio.handler",
    "SpeechRecognizer": "mar_audio.speech",
    "decode_audio": "mar_audio.decoding",
    "read_audio": "mar_audio.reading",
    "resample": "mar_audio.resampling",
}
__all__ = ["AudioHandler", "SpeechRecognizer", "decode_audio", "read_audio", "resample"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
