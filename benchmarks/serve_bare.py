"""Bare ASGI: reads a request and answers two letters. No server in Python can be faster."""

from __future__ import annotations

import os

import uvicorn

HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}


async def app(_, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send(HEAD)
    await send({"type": "http.response.body", "body": b"ok"})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["BENCH_PORT"]),
        log_level="error",
        access_log=False,
        lifespan="off",
        http="httptools",
        loop="uvloop",
    )
