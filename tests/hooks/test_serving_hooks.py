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

    def openapi(self):
        answers = {"200": {"description": "Louder"}}
        return {"/shout": {"post": {"operationId": "ping", "responses": answers}}}


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


def test_hook_mar_extend_server_describes_its_paths(server):
    with plugin(Adds(Shouting)):
        server.extensions = from_plugins(server)
    (answer,) = asked(server, ("GET", "/openapi.json", {}))
    paths = answer.json()["paths"]
    answers = {"200": {"description": "Louder"}}
    assert paths["/shout"] == {"post": {"responses": answers}}  # its name is the server's own
    assert paths["/ping"]["get"]["operationId"] == "ping"


def describing(items):
    class Describing(Shouting):
        def openapi(self):
            return items() if callable(items) else items

    return Describing


WELL = {"responses": {"200": {"description": "yes"}}}
ITEM = "it offers an OpenAPI path item for"


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], "it offers OpenAPI path items as list, not as a mapping by path"),
        ({"/shot": {"get": WELL}}, f"{ITEM} '/shot', which is none of its routes"),
        ({"/shout": {}}, f"{ITEM} /shout, in which no method is described"),
        ({"/shout": {"get": WELL, "pots": WELL}}, f"{ITEM} /shout, in which 'pots' is no method"),
        ({"/shout": {"post": 7}}, f"{ITEM} /shout, in which post is no operation"),
        ({"/shout": {"post": {}}}, f"{ITEM} /shout, in which post has no responses"),
        (
            {"/shout": {"post": {"responses": {"200": {}}}}},
            f"{ITEM} /shout, in which post has a response 200 without a description",
        ),
        (
            {"/shout": {"post": {**WELL, "x-set": {1}}}},
            "it offers OpenAPI path items that are no JSON: Object of type set",
        ),
        (
            lambda: 1 / 0,
            "it offers OpenAPI path items that cannot be had: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_hook_mar_extend_server_leaves_out_what_describes_its_paths_wrongly(
    server, caplog, items, words
):
    with plugin(Adds(describing(items))):
        assert not any(isinstance(one, Shouting) for one in from_plugins(server))
    assert f"The plugin Adds failed in mar_extend_server: {words}" in caplog.text


@pytest.mark.parametrize(
    ("parameters", "faulty"),
    [
        ([], True),
        ([{"name": "rest", "in": "query"}], True),
        ([{"name": "rest", "in": "path"}], False),
    ],
)
def test_hook_mar_extend_server_wants_the_parameters_of_paths(server, caplog, parameters, faulty):
    class Deep(Extension):
        def routes(self, kinds):
            yield "/deep/{rest:path}", shout, None, "inference"

        def openapi(self):
            return {"/deep/{rest}": {"parameters": parameters, "get": WELL}}

    with plugin(Adds(Deep)):
        assert any(isinstance(one, Deep) for one in from_plugins(server)) is not faulty
    words = "/deep/{rest}, in which get has no parameter 'rest', which its path has"
    assert (words in caplog.text) is faulty


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
