"""Handlers as archives, for the servers of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.testing import make_archive

if TYPE_CHECKING:
    from pathlib import Path

# Says what it was given; some words make it misbehave.
ECHO = """
import json, os, sys, time

def handle(data, context):
    if data is None:
        return None
    answers = []
    for at, row in enumerate(data):
        value = row.get("data", row.get("body"))
        kind = type(value).__name__
        if isinstance(value, (bytes, bytearray)):
            value = bytes(value).decode("latin-1")
        word = value if isinstance(value, str) else ""
        if word == "die":
            os._exit(3)
        if word == "hang":
            time.sleep(1000)
        if word == "raise":
            raise ValueError("secret /etc/passwd")
        if word == "status":
            context.set_response_status(code=418, phrase="teapot", idx=at)
        if word == "headers":
            context.set_response_header(at, "X-Mine", "yes")
            context.set_response_content_type(at, "text/x-mine")
            answers.append("plain text")
            continue
        if word == "hostile headers":
            context.set_response_header(at, "X-Two", "a\\r\\nX-Three: b")
            context.set_response_header(at, "X-Nothing", "a\\x00b")
            context.set_response_header(at, "X-Mine", "yes\\tno")
            context.set_response_content_type(at, "text/plain\\r\\nX-Four: c")
        if word == "memory":
            raise MemoryError("no")
        if word == "bytes":
            answers.append(b"\\x00\\xff")
            continue
        if word == "object":
            answers.append(object())
            continue
        if word == "fewer":
            return []
        if word == "text":
            print("\\x1b[31mred\\x1b[0m " + "a handler printed this", flush=True)
        if word.startswith("sleep"):
            time.sleep(float(word[5:]))
        if word.startswith("code"):
            from ts.utils.util import PredictionException
            raise PredictionException("my words", int(word[4:]))
        answers.append({
            "value": value, "type": kind, "fields": sorted(row), "size": len(data),
            "pid": os.getpid(), "id": context.get_request_id(at),
            "explain": context.get_request_header(at, "explain"),
            "url_path": context.get_request_header(at, "url_path"),
            "mixed": context.get_request_header(at, "X-MiXed"),
            "version": context.manifest["model"].get("modelVersion"),
        })
    return answers
"""

STREAM = """
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    value = data[0].get("data", data[0].get("body"))
    for piece in ("one ", "two "):
        send_intermediate_predict_response([piece], context.request_ids, "ok", 200, context)
    if value == "break":
        raise ValueError("in the middle")
    return ["three"]
"""

CLASS = '''
class Handler:
    """A handler with a describe_handle and explanations."""

    def initialize(self, context):
        self.context = context

    def describe_handle(self):
        return {"customizedMetadata": "mine"}

    def handle(self, data, context):
        if context.get_request_header(0, "describe") == "True":
            return [self.describe_handle()]
        return [{"answer": len(data)} for _ in data]
'''

SICK = """
def handle(data, context):
    raise RuntimeError("cannot be loaded")
"""


def make(
    folder: Path, name: str, source: str = ECHO, *, version: str = "1.0", **config: Any
) -> Path:
    """An archive of one of these handlers."""
    sources = folder / f"{name}-{version}-sources"
    sources.mkdir(parents=True, exist_ok=True)
    handler = sources / "handler.py"
    handler.write_text(source, encoding="utf-8")
    return make_archive(
        folder,
        handler=str(handler),
        model_name=name,
        version=version,
        config=config or None,
        force=True,
    )
