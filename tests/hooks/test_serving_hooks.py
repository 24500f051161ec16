"""The hook that adds to a server."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from mar_serve import Answer, Extension, Server, ServerConfig
from mar_serve.app import create_app
from mar_serve.extension import from_plugins

import mar_core
from mar_core import hookimpl
from mar_core.testing import plugin


async def shout(call):
    return Answer((await call.json())["text"].upper())


class Shouting(Extension):
    """Adds a path of its own, and one that is taken."""

    def routes(self, kinds):
        if "inference" in kinds:
            yield "/shout", shout, ["POST"], "inference"
            yield "/ping", shout, ["GET"], "inference"


class Raising(Extension):
    """Costs nobody anything."""

    def routes(self, kinds):
        raise RuntimeError("no paths today")


class Adds:
    """A plugin that adds an extension."""

    def __init__(self, made):
        self._made = made

    @hookimpl
    def mar_extend_server(self, server):
        return self._made(server)


@pytest.fixture
def server():
    made = Server(ServerConfig(tokens=False))
    yield made
    made.close()


def asked(server, *requests):
    """What the inference address answers to each request."""

    async def ask():
        transport = httpx.ASGITransport(create_app(server, {"inference"}))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return [await client.request(*words, **more) for *words, more in requests]

    return asyncio.run(ask())


def test_hook_mar_extend_server(server, caplog):
    with plugin(Adds(Shouting)), plugin(Adds(Raising), name="Raises"):
        server.extensions = from_plugins(server)
    assert {type(one) for one in server.extensions} >= {Shouting, Raising}
    with caplog.at_level(logging.WARNING, "mar_serve"):
        text = {"json": {"text": "hello"}}
        shouted, wrong, ping = asked(
            server, ("POST", "/shout", text), ("GET", "/shout", {}), ("GET", "/ping", {})
        )
    assert shouted.json() == "HELLO"
    assert wrong.status_code == 405
    assert ping.json() == {"status": "Unhealthy"}  # as it was: nothing is loaded
    assert "Shouting adds the path /ping, which is taken: left out" in caplog.text
    assert "Raising could not add its paths" in caplog.text


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda _: 7, "it offers an object of int, which is no mar_serve.Extension"),
        (lambda _: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_hook_mar_extend_server_leaves_out_what_is_no_extension(server, caplog, made, words):
    before = [type(one) for one in from_plugins(server)]
    with plugin(Adds(made)):
        assert [type(one) for one in from_plugins(server)] == before
    assert f"The plugin Adds failed in mar_extend_server: {words}" in caplog.text


def test_hook_mar_extend_server_is_reached_by_a_public_name():
    with plugin(Adds(lambda server: server)):
        assert "here" in mar_core.server_extensions("here", lambda _: None)
