"""What an archive of ``speech_recognizer`` takes and gives; read without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Archive

__all__ = ["signature_of_speech"]

_STAMPED = {
    "type": "object",
    "fields": {"text": {"type": "string"}, "timestamp": {"type": "json"}},
    "values": {"type": "json"},
}


def signature_of_speech(_: Archive, options: Mapping[str, Any]) -> dict[str, Any]:
    """The signature of an archive: an object, or what is written down as text.

    Args:
        _: The archive.
        options: What its model-config.yaml says under ``handler:``.
    """
    sound = {
        "name": "data",
        "type": "bytes",
        "description": "A sound: WAV, FLAC, OGG, MP3 or another format.",
    }
    if options.get("output", "json") != "json":
        given: dict[str, Any] = {"name": "text", "type": "string"}
    else:
        given = {
            "name": "speech",
            "type": "object",
            "fields": {"text": {"type": "string"}},
            "values": {"type": "list", "items": _STAMPED},
            "description": "The text, and chunks of it with where they start and end, in seconds.",
            "example": {
                "text": "Good day.",
                "chunks": [{"text": "Good day.", "timestamp": [0, 1]}],
            },
        }
    return {"inputs": [sound], "outputs": [given]}
