"""Clients that mean no good, and web pages that do: they cost others nothing."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest
import serving
import serving_handlers as handlers
from mar_serve.clouds import adapted
from mar_serve.config import Address, ServerConfig
from mar_serve.server import Server

from mar_core import UsageError

TEXT = {"content-type": "text/plain"}
LIMIT = 6_553_500


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("safety")
    store = folder / "store"
    store.mkdir()
    echo = handlers.make(store, "echo")
    words = [echo, "--model-store", store, "--enable-model-api"]
    with serving.running(*words, folder=folder) as running:
        yield running


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


@pytest.fixture
def admin(server):
    with server.admin() as admin:
        yield admin


def raw(server, data, *, seconds=30.0):
    """Send bytes, and read until the server closes the connection or says nothing for a while."""
    port = int(server.inference.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), seconds) as opened:
        with contextlib.suppress(OSError):
            opened.sendall(data)
        answer = b""
        with contextlib.suppress(OSError):
            while piece := opened.recv(65536):
                answer += piece
        return answer


def still_fine(client):
    assert client.post("/predictions/echo", content="x", headers=TEXT).json()["value"] == "x"


def test_a_body_that_is_too_large_gets_an_empty_413(server, client):
    answer = client.post("/predictions/echo", content=b"x" * (LIMIT + 1))
    assert (answer.status_code, answer.content) == (413, b"")
    headers = {"content-type": "application/json"}
    body = b"[]".ljust(LIMIT)
    answer = client.post("/predictions/echo", content=body, headers=headers)
    assert (answer.status_code, answer.json()["value"]) == (200, [])

    def chunks():
        for _ in range(LIMIT // 65536 + 2):
            yield b"x" * 65536

    assert client.post("/predictions/echo", content=chunks()).status_code == 413
    still_fine(client)


def test_expect_continue_is_answered_at_once(server):
    head = b"POST /predictions/echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
    large = raw(server, head + b"content-length: 99999999\r\n\r\n")
    assert large.startswith(b"HTTP/1.1 413 ")
    port = int(server.inference.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 30) as opened:
        opened.sendall(head + b"content-length: 2\r\n\r\n")
        assert opened.recv(100).startswith(b"HTTP/1.1 100 ")
        opened.sendall(b"hi")
        assert opened.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_a_small_body_that_unpacks_to_a_large_one_is_refused(client, name):
    bomb = b"0" * (LIMIT * 20)
    packed = gzip.compress(bomb) if name == "gzip" else zlib.compress(bomb)
    answer = client.post("/predictions/echo", content=packed, headers={"content-encoding": name})
    assert answer.status_code == 413
    headers = {"content-encoding": name}
    assert client.post("/predictions/echo", content=b"rubbish", headers=headers).status_code == 400


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /ping HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 500 + b"\r\n", b"431"),
        (b"GET /ping HTTP/1.1\r\nhost: x\r\na: " + b"b" * 100_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", b"414"),
        (b"rubbish\r\n\r\n", b"400"),
        (b"POST /predictions/echo HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", b"400"),
        (
            (
                b"POST /predictions/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
                b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            b"400",
        ),
    ],
)
def test_what_is_no_http_or_too_much_of_it(server, client, data, status):
    answer = raw(server, data)
    assert answer.split(b" ", 2)[1] == status, answer[:200]
    assert b"Traceback" not in answer
    still_fine(client)


def test_a_fuzzed_client_costs_others_nothing(server, client):
    seed = int(os.environ.get("MAR_FUZZ_SEED", "7"))
    chance = random.Random(seed)
    whole = (
        b"POST /predictions/echo HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; "
        b"boundary=b\r\nContent-Length: 60\r\n\r\n--b\r\nContent-Disposition: form-data; "
        b'name="data"\r\n\r\nhello\r\n--b--\r\n'
    )
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            at = chance.randrange(len(data))
            choice = chance.random()
            if choice < 0.5:
                data[at] = chance.randrange(256)
            elif choice < 0.75:
                del data[at : at + chance.randint(1, 20)]
            else:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 20)))
            if not data:
                break
        with contextlib.suppress(OSError):
            raw(server, bytes(data), seconds=0.2)
    still_fine(client)
    assert "could not be answered" not in server.log


def test_many_connections_at_once_cost_others_nothing(server, client):
    port = int(server.inference.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        for _ in range(900):  # 1,000 is what one process may open here, with those of pytest
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        still_fine(client)
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(still_fine, client) for _ in range(50)]
        for one in asked:
            one.result()
    still_fine(client)


def test_a_slow_client_is_let_go(tmp_path):
    echo = handlers.make(tmp_path, "echo")
    with serving.running(echo, "--slow-client", "1", folder=tmp_path) as server:
        begun = time.monotonic()
        assert raw(server, b"GET /ping HTTP/1.1\r\n") == b""
        head = b"POST /predictions/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc"
        assert raw(server, head).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun < 25


def test_a_path_gives_nothing_away(server, client):
    for path in ("/page/../../etc/passwd", "/page/%2e%2e%2fsecret", "/predictions/..%2f..%2fx"):
        answer = client.get(path)
        assert answer.status_code in {400, 404}
        assert "root:" not in answer.text


def test_escapes_in_names_never_reach_the_log(server, client, admin):
    client.get("/predictions/%1b%5b31mred")
    admin.post("/models", params={"url": "\x1b[31mred.mar"})
    still_fine(client)
    assert "\x1b" not in server.log


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example"])
def test_a_name_that_is_pointed_here_is_refused(client, admin, host):
    answer = admin.get("/models", headers={"host": host})
    assert (answer.status_code, answer.json()["type"]) == (403, "IllegalArgumentException")
    assert client.get("/", headers={"host": host}).status_code == 403
    assert client.get("/page/models.json", headers={"host": host}).status_code == 403
    assert client.get("/predictions/echo", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8081", "[::1]:1", "10.0.0.1"])
def test_names_of_ours_are_fine(admin, host):
    assert admin.get("/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}],
)
def test_a_page_of_another_site_cannot_register_a_model(admin, headers):
    params = {"url": "echo.mar", "model_name": "sneaked"}
    answer = admin.post("/models", params=params, headers=headers)
    assert answer.status_code == 403
    assert admin.get("/models/sneaked").status_code == 404


def test_our_own_page_can(server, admin):
    origin = {"origin": server.management, "sec-fetch-site": "same-origin"}
    assert admin.put("/models/echo?min_worker=1", headers=origin).status_code == 202


def test_cors_where_the_user_asks_for_it(tmp_path):
    echo = handlers.make(tmp_path, "echo")
    words = [echo, "--cors", "http://app.example"]
    with (
        serving.running(*words, folder=tmp_path) as server,
        server.client() as client,
        server.admin() as admin,
    ):
        answer = client.get("/predictions/echo", headers={"origin": "http://app.example"})
        assert answer.headers["access-control-allow-origin"] == "http://app.example"
        preflight = {
            "origin": "http://app.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-mine",
        }
        for who in (client, admin):
            path = "/predictions/echo" if who is client else "/models"
            answer = who.options(path, headers=preflight)
            assert answer.status_code == 200
            assert "POST" in answer.headers["access-control-allow-methods"]


class _Redirects(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302)
        self.send_header("location", self.server.target)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_urls_only_as_allowed(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    echo = handlers.make(tmp_path, "echo")
    outside = HTTPServer(("127.0.0.1", 0), _Redirects)
    outside.target = "http://localhost:1/secret.mar"
    threading.Thread(target=outside.serve_forever, daemon=True).start()
    port = outside.server_port
    try:
        words = [
            *(echo, "--model-store", store, "--enable-model-api"),
            *("--allowed-url", rf"http://127\.0\.0\.1:{port}/.*"),
            *("--allowed-url", rf"http://localhost:{port}/.*"),
            *("--allowed-url", r"https://models\.example.*"),
        ]
        with serving.running(*words, folder=tmp_path) as server, server.admin() as admin:
            named = f"http://localhost:{port}/named.mar"  # a name of a private address
            answer = admin.post("/models", params={"url": named})
            assert answer.status_code == 400, answer.text
            assert answer.json()["message"] == f"Failed to download archive from: {named}"
            server.wait_for("localhost is a private address")
            for url in (
                f"http://127.0.0.1:{port}/redirected.mar",  # to what is not allowed
                "https://models.example@127.0.0.1/x.mar",  # a name that is none
                "http://169.254.169.254/latest/meta-data",
                "file:///etc/passwd",
            ):
                answer = admin.post("/models", params={"url": url})
                assert answer.status_code == 404, answer.text
                assert "does not match any allowed URL(s)" in answer.json()["message"]
        assert list(store.iterdir()) == []
    finally:
        outside.shutdown()
        outside.server_close()


def test_a_url_that_is_allowed_is_fetched(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    echo = handlers.make(tmp_path, "echo")

    class Gives(BaseHTTPRequestHandler):
        def do_GET(self):
            body = echo.read_bytes()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    giver = HTTPServer(("127.0.0.1", 0), Gives)
    threading.Thread(target=giver.serve_forever, daemon=True).start()
    try:
        words = ["--model-store", store, "--enable-model-api"]
        allowed = rf"http://127\.0\.0\.1:{giver.server_port}/.*"
        with (
            serving.running(*words, "--allowed-url", allowed, folder=tmp_path) as server,
            server.admin() as admin,
        ):
            url = f"http://127.0.0.1:{giver.server_port}/echo.mar"
            answer = admin.post("/models", params={"url": url, "initial_workers": 1})
            assert answer.status_code == 200, answer.text
            assert (store / "echo.mar").read_bytes() == echo.read_bytes()
            answer = admin.post("/models", params={"url": url, "model_name": "again"})
            assert (answer.status_code, answer.json()["message"]) == (
                500,
                "Model file already exists echo.mar",
            )
    finally:
        giver.shutdown()
        giver.server_close()


def test_where_others_can_reach_it_tokens_are_on(tmp_path):
    """The decision alone: a test must not open this machine to others."""
    everywhere = Address("0.0.0.0", 8080)  # noqa: S104
    for config, expected in (
        (ServerConfig(key_folder=tmp_path), False),
        (ServerConfig(key_folder=tmp_path, inference=everywhere), True),
        (ServerConfig(key_folder=tmp_path, management=everywhere), True),
        (ServerConfig(key_folder=tmp_path, inference=everywhere, tokens=False), False),
        (ServerConfig(key_folder=tmp_path, tokens=True), True),
    ):
        server = Server(config)
        assert (server.tokens is not None) == expected
        server.close()
    assert not (tmp_path / "key_file.json").exists()


def test_a_clouds_container_listens_everywhere_unless_it_was_told_where():
    environment = {"AIP_HTTP_PORT": "8088"}
    assert adapted(ServerConfig(), {}) == ServerConfig()
    config = adapted(ServerConfig(), environment)
    assert (config.inference.host, config.inference.port, config.tokens) == ("0.0.0.0", 8088, False)  # noqa: S104
    assert config.management.is_local
    assert adapted(ServerConfig(host_given=True), environment).inference.host == "127.0.0.1"
    with pytest.raises(UsageError, match="AIP_HTTP_PORT must be a port"):
        adapted(ServerConfig(), {"AIP_HTTP_PORT": "x"})


def test_nothing_listens_beyond_this_machine_by_default(server):
    listening = [
        connection.laddr
        for connection in psutil.Process(server.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 3
    assert {address.ip for address in listening} == {"127.0.0.1"}
