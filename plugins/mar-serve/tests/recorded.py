"""The page with answers as handlers of all kinds give them, and what its requests were."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import threading
import time
from dataclasses import dataclass, field

import uvicorn
from mar_serve import page
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

HOSTILE = "<img src=x onerror=alert(1)>"
SIDE = 40


def half(top, bottom):
    """A mask in base64 that is white between two rows."""
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (0, top, SIDE, bottom))
    stream = io.BytesIO()
    mask.save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


ANSWERS = {
    "classes": {"tabby": 0.4633, "tiger cat": 0.3129, HOSTILE: 0.0011},
    "digit": 7,
    "boxes": [{"person": [10, 10, 30, 30], "score": 0.98}, {"cup": [2, 2, 8, 8], "score": 0.71}],
    "mask": [[[1 if y < SIDE // 2 else 0, 0.9] for _ in range(SIDE)] for y in range(SIDE)],
    "segments": [
        {"label": "sky", "score": 0.9, "mask": {"base64": half(0, 20)}},
        {"label": "ground", "score": None, "mask": half(30, 40)},
    ],
    "words": {"positive": 0.9, "negative": 0.1},
    "entities": [{"entity_group": "PER", "start": 2, "end": 6, "score": 0.9}],
    "records": [{"id": 1, "name": HOSTILE, "tags": ["a"]}, {"id": 2, "name": "Bob", "tags": []}],
    "fields": {"shape": [1, 2], "note": "fine", "total": 12.5},
    "text": "It was a dark and stormy night, and nobody answered.",
}
EXPLANATIONS = {
    "words": {"words": ["a", "fine", "bore"], "importances": [0.0, 0.8, -0.4], "delta": 0.1},
    "classes": [[1.0 if x < SIDE // 2 else -1.0 for x in range(SIDE)] for _ in range(SIDE)],
}
REFUSALS = {
    "refusing": (503, "InternalServerException", "Prediction failed"),
    "locked": (400, "InvalidKeyException", "Token Authorization failed."),
}
KINDS = {"words": "text", "entities": "text", "records": "json", "story": "text"}


@dataclass
class Recorder:
    """The server's state.

    Attributes:
        url: Where it is.
        requests: The path, headers and body of each request to a model.
        go_on: Set to let the story end.
        counts: How many requests each model says that it had.
    """

    url: str = ""
    requests: list = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    counts: dict = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = None

    def finish_story(self):
        self.loop.call_soon_threadsafe(self.go_on.set)

    def snapshot(self):
        names = [*ANSWERS, "story", *REFUSALS]
        return {"server": {"name": "mar serve"}, "models": [self._model(name) for name in names]}

    def _model(self, name):
        return {
            "name": name,
            "version": "1.0",
            "default": name == "classes",
            "ready": name != "refusing",
            "explain": name in EXPLANATIONS,
            "kind": KINDS.get(name, ""),
            "workers": {"live": int(name != "refusing"), "min": 1, "max": 2},
            "queue": {"waiting": 3, "size": 100},
            "batch_size": 1,
            "requests": self.counts.get(name, 0),
            "failed": 0,
            "p50": 0.0023,
            "p99": 0.019,
        }

    async def answer(self, request):
        self.loop = asyncio.get_running_loop()
        name, body = request.path_params["name"], await request.body()
        self.requests.append((request.url.path, dict(request.headers), body))
        if name in REFUSALS and request.headers.get("authorization") != "Bearer secret":
            status, kind, message = REFUSALS[name]
            return self._json({"code": status, "type": kind, "message": message}, status)
        if name == "story":
            return StreamingResponse(self._story(), headers={"ts_stream_next": "true"})
        table = EXPLANATIONS if request.url.path.startswith("/explanations") else ANSWERS
        found = table.get(name, "open")
        return Response(found) if isinstance(found, str) else self._json(found)

    def _json(self, value, status=200):
        # As TorchServe: a handler's dict has no content type.
        return Response(json.dumps(value, indent=2) + "\n", status_code=status)

    async def _story(self):
        yield "Once upon "
        await self.go_on.wait()
        yield "a time."


@contextlib.contextmanager
def serving():
    """The page and its recorder, in a thread."""
    recorder = Recorder()
    methods = ["POST", "PUT"]
    app = Starlette(
        routes=[
            *page.routes(recorder.snapshot),
            Route("/predictions/{name}/{version}", recorder.answer, methods=methods),
            Route("/explanations/{name}/{version}", recorder.answer, methods=methods),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        recorder.url = f"http://127.0.0.1:{port}/"
        yield recorder
    finally:
        server.should_exit = True
        thread.join()
