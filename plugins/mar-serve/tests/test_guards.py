"""What lets a request through, by itself: names, keys, sources and addresses."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import http.client
import json
import os
import re
import socket
import stat
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from mar_serve import download, tokens, upload
from mar_serve.bodies import Gone
from mar_serve.config import Address, ModelSource, ServerConfig
from mar_serve.download import Forbidden
from mar_serve.errors import ServeError
from mar_serve.guard import Guard
from mar_serve.sources import Found, fetched, from_start, in_store, registered, target_in
from mar_serve.tokens import Tokens
from mar_serve.upload import received

from mar_core import ArchiveRequest, UsageError


def scope(method="POST", **headers):
    names = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return {"method": method, "headers": list(names.items())}


def passes(guard, **headers):
    with contextlib.suppress(ServeError):
        guard.check(scope(**headers))
        return True
    return False


@pytest.mark.parametrize(
    ("host", "fine"),
    [
        *[("localhost", True), ("LOCALHOST:1", True), ("127.0.0.1", True), ("[::1]:8081", True)],
        *[("10.1.2.3:80", True), ("mine.example:80", True), ("MINE.example", True), ("", True)],
        *[("served.example", True), (socket.gethostname(), True), ("evil.example", False)],
        *[("localhost.evil.example", False), ("x.mine.example", False), ("127.0.0.1.x", False)],
        *[("[::1", False), ("@localhost", True), ("localhost@evil.example", False), (":1", False)],
    ],
)
def test_the_names_of_the_server(host, fine):
    config = ServerConfig(hosts=("Mine.example",), management=Address("Served.example", 1))
    assert passes(Guard(config), host=host) == fine
    assert passes(Guard(ServerConfig(hosts=("*",))), host=host)


@pytest.mark.parametrize(
    ("origin", "host", "fine"),
    [
        ("http://localhost:1", "localhost:1", True),
        ("http://LOCALHOST:1", "localhost:1", True),
        ("http://localhost:1", "LOCALHOST:1", True),
        ("http://localhost:2", "localhost:1", False),
        ("http://evil.example", "localhost:1", False),
        ("http://localhost:1@evil.example", "localhost:1", False),
        ("null", "localhost:1", False),
        ("null", "", False),  # no browser leaves out the host
        ("http://[", "localhost:1", False),
    ],
)
def test_the_pages_that_may_ask(origin, host, fine):
    assert passes(Guard(ServerConfig()), origin=origin, host=host) == fine
    assert passes(Guard(ServerConfig(cors_origin="*")), origin=origin, host=host)
    welcome = Guard(ServerConfig(cors_origin="http://app.example"))
    assert passes(welcome, origin="http://app.example", host=host)
    assert passes(welcome, origin=origin, host=host) == fine


def test_what_the_browser_says_of_the_page():
    guard = Guard(ServerConfig(management=None, metrics=None))
    for method, fine in {"POST": False, "DELETE": False, "GET": True, "HEAD": True}.items():
        assert passes(guard, method=method, sec_fetch_site="cross-site") == fine
        assert passes(guard, method=method, sec_fetch_site="same-origin")
    assert passes(Guard(ServerConfig(cors_origin="*")), sec_fetch_site="cross-site")


class Clock:
    """The time, as a test has it."""

    def __init__(self, monkeypatch):
        self.now = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
        monkeypatch.setattr(tokens, "_now", lambda: self.now)


def takes(keys, value, kind):
    with contextlib.suppress(ServeError):
        keys.check_value(value, kind)
        return True
    return False


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_key_opens_what_it_is_for_as_long_as_it_says(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    keys = Tokens(tmp_path, 10)
    path = tmp_path / tokens.KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == [tokens.KEY_FILE]
    found = json.loads(path.read_text())
    assert found["inference"]["expiration time"] == "2030-01-01T00:10:00Z"
    assert list(found["API"]) == ["key"]
    values = {kind: entry["key"] for kind, entry in found.items()}
    assert len(set(values.values())) == 3
    assert all(len(value) == 8 for value in values.values())
    for kind, right in values.items():
        for other, value in values.items():
            assert takes(keys, f"Bearer {value}", kind) == (kind == other)
        assert takes(keys, f"bearer  {right} ", kind)
        for wrong in (right, f"Basic {right}", "Bearer ", "", f"Bearer {right[:-1]}", "Bearer é"):
            assert not takes(keys, wrong, kind)
        keys.check(scope(authorization=f"Bearer {right}"), kind)
        with pytest.raises(ServeError):
            keys.check(scope(), kind)
    clock.now += dt.timedelta(minutes=10, microseconds=-1)
    assert takes(keys, f"Bearer {values['inference']}", "inference")
    clock.now += dt.timedelta(microseconds=1)
    assert not takes(keys, f"Bearer {values['inference']}", "inference")
    assert takes(keys, f"Bearer {values['API']}", "API")


def test_a_new_key_ends_the_old_one(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    keys = Tokens(tmp_path, 10)
    path = tmp_path / tokens.KEY_FILE
    (tmp_path / f".{tokens.KEY_FILE}.{os.getpid()}").write_text("of one that was killed")
    old = json.loads(path.read_text())
    clock.now += dt.timedelta(minutes=5)
    keys.renew("management")
    new = json.loads(path.read_text())
    assert {kind for kind in old if old[kind] != new[kind]} == {"management"}
    assert new["management"]["expiration time"] == "2030-01-01T00:15:00Z"
    assert not takes(keys, f"Bearer {old['management']['key']}", "management")
    assert takes(keys, f"Bearer {new['management']['key']}", "management")
    for kind in ("API", "", "other"):
        with pytest.raises(ServeError, match="Token Authentication failed") as told:
            keys.renew(kind)
        assert told.value.status == 400
    keys.remove()
    keys.remove()
    assert not names(tmp_path)


@pytest.fixture
def store(tmp_path):
    place = tmp_path / "store"
    (place / "sub").mkdir(parents=True)
    for name in ("a.mar", "b.tar.gz", "c.tgz", "d.txt", "sub/e.mar"):
        (place / name).touch()
    (place / "folder" / "MAR-INF").mkdir(parents=True)
    (place / "folder" / "MAR-INF" / "MANIFEST.json").touch()
    (tmp_path / "outside.mar").touch()
    (place / "link.mar").symlink_to(tmp_path / "outside.mar")
    (place / "loop.mar").symlink_to("loop.mar")
    return place


def test_models_come_out_of_the_store_alone(store):
    config = ServerConfig(model_store=store)
    for name in ("a.mar", "sub/e.mar", "folder", "./a.mar"):
        found = registered(name, config)
        assert (found.source, found.url) == ((store / name).resolve(), name)
    inside = [found.url for found in in_store(config)]
    assert inside == ["a.mar", "b.tar.gz", "c.tgz", "folder", "link.mar", "loop.mar"]
    sub = ServerConfig(model_store=store / "sub")
    refused = [
        (config, ("", "../outside.mar", "sub/../a.mar", "%2e%2e/outside.mar", "sub\\..\\a.mar", ".",
                 str(store.parent / "outside.mar"), "link.mar", "loop.mar", "none.mar", "a\0.mar")),
        (sub, (str(store / "a.mar"), str(store), "")),
        (ServerConfig(), ("a.mar",)),
        (ServerConfig(model_store=store / "none"), ("a.mar",)),
    ]  # fmt: skip
    for where, words in refused:
        for name in words:
            with pytest.raises(ServeError) as told:
                registered(name, where)
            assert told.value.status == 404
            assert str(store.parent) not in told.value.message.replace(name, "")


def test_models_of_the_start_come_from_anywhere(store, tmp_path, monkeypatch):
    def found(word, config):
        return from_start(ModelSource(name=None, source=word), config)

    config = ServerConfig(model_store=store)
    assert found("a.mar", config).source == store / "a.mar"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.tar.gz").touch()
    assert found("b.tar.gz", config).source == Path("b.tar.gz")
    request = ArchiveRequest(model_name="m", version="1", handler="h.py")
    assert found(request, config).url == "m"
    assert found(str(tmp_path / "outside.mar"), config).url == "outside.mar"
    for word, where in (("none.mar", config), ("a.mar", ServerConfig())):
        with pytest.raises(UsageError, match=f"There is no model at {word}"):
            found(word, where)
    with pytest.raises(ServeError, match="does not match any allowed"):
        found("http://models.example/a.mar", config)
    with pytest.raises(UsageError, match="needs --model-store"):
        list(in_store(ServerConfig()))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0", "a\n", "x" * 201, "é" * 101])
def test_what_is_no_files_name(tmp_path, name):
    with pytest.raises(ServeError, match="does not end in a file's name") as told:
        target_in(tmp_path, name)
    assert told.value.status == 400
    assert target_in(tmp_path, "x" * 200) == tmp_path / ("x" * 200)


def test_urls_are_fetched_as_allowed(store, tmp_path):
    source = tmp_path / "outside.mar"
    source.write_bytes(b"archive")
    url = source.as_uri()
    config = ServerConfig(model_store=store, allowed_urls=("file:///.*",))
    found = fetched(f"{url}?x=1", config)
    assert (found.source, found.url) == (store / "outside.mar", f"{url}?x=1")
    assert found.source.read_bytes() == b"archive"
    elsewhere = fetched(url, config, store / "sub")
    assert elsewhere.source == store / "sub" / "outside.mar"
    for _ in range(2):
        elsewhere.discard()
        assert not elsewhere.source.exists()
    Found(found.source, url).discard()  # nobody has brought it for this
    Found(ArchiveRequest(model_name="m", handler="h.py"), url, fetched=True).discard()
    assert found.source.exists()
    with pytest.raises(ServeError, match=r"Model file already exists outside\.mar"):
        fetched(url, config)
    source.rename(tmp_path / "other name.mar")
    with pytest.raises(ServeError, match="Failed to download") as told:
        fetched(f"{tmp_path.as_uri()}/none.mar", config)
    assert told.value.status == 400
    assert fetched(f"{tmp_path.as_uri()}/other%20name.mar", config).source.name == "other name.mar"
    for wrong, message in (
        (ServerConfig(model_store=store), "does not match any allowed"),
        (ServerConfig(model_store=store, allowed_urls=("file:///",)), "does not match any allowed"),
        (ServerConfig(allowed_urls=("file:///.*",)), "Model store has not been configured"),
    ):
        for way in (fetched, registered):
            with pytest.raises(ServeError, match=message):
                way(f"{url}.new.mar", wrong)
    seeming = ServerConfig(model_store=store, allowed_urls=("http://.*",))
    with pytest.raises(ServeError, match="does not match any allowed"):
        fetched("http://models.example@10.0.0.1/new.mar", seeming)
    with pytest.raises(ServeError, match="Failed to download"):
        fetched("http://10.0.0.1/new.mar", seeming)
    everywhere = ServerConfig(model_store=store, open_urls=True)
    with pytest.raises(ServeError, match="does not match any allowed"):
        fetched("ftp://models.example/new.mar", everywhere)
    for nowhere in ("http://10.0.0.1/new.mar", "file:///dev/zero", tmp_path.as_uri()):
        with pytest.raises(ServeError, match="Failed to download"):
            fetched(nowhere, everywhere)
    assert not [name for name in names(store) if name.endswith((".part", "none.mar"))]


@pytest.mark.parametrize(
    ("host", "pattern", "fine"),
    [
        ("93.184.215.14", r"https?://.*", True),
        ("127.0.0.1", r"https?://.*", False),
        ("127.0.0.1", r"http://127\.0\.0\.1/.*", True),
        ("127.0.0.1", r"http://127\.0\.0\.2/.*", False),
        ("localhost", r"http://localhost/.*", False),
        ("169.254.169.254", r"https?://.*", False),
        ("10.0.0.1", r"https?://.*", False),
        ("::1", r"https?://.*", False),
        ("::1", r"http://\[::1\]/.*", True),
        ("fe80::1", r"https?://.*", False),
        ("0.0.0.0", r"https?://.*", False),  # noqa: S104 - an address to be refused
    ],
)
def test_addresses_of_private_networks_are_named_or_refused(host, pattern, fine):
    if fine:
        assert download._address(host, 80, [pattern]) == host
    else:
        with pytest.raises(OSError, match="is a private address"):
            download._address(host, 80, [pattern])


class Gives(BaseHTTPRequestHandler):
    """``/302/3/a.mar`` redirects three times; other paths say what they answer."""

    def do_GET(self):
        status, left = self.path.strip("/").split("/")[:2]
        self.send_response(int(status))
        if left.startswith("file"):
            self.send_header("location", urllib.parse.unquote(left))
        elif status.startswith("3") and left != "0":
            self.send_header("location", f"/{status}/{int(left) - 1}/a.mar")
        elif status.startswith("3"):
            self.send_header("location", "/200/7/a.mar?x=1")
        body = f"{self.headers['host']} {self.path}".encode()
        if left != "open":
            self.send_header("content-length", len(body) + (left == "short"))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def giver():
    with HTTPServer(("127.0.0.1", 0), Gives) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def had(tmp_path, url):
    target = tmp_path / "had.mar"
    download.download(url, target, allowed=[r"http://127\.0\.0\.1:\d+/.*"])
    assert names(tmp_path) == ["had.mar"]
    return target.read_text()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(tmp_path, giver, status):
    assert had(tmp_path, f"http://{giver}/{status}/4/a.mar") == f"{giver} /200/7/a.mar?x=1"


def test_the_length_of_a_file_need_not_be_said(tmp_path, giver):
    assert had(tmp_path, f"http://{giver}/200/open/") == f"{giver} /200/open/"


def test_a_redirect_to_what_is_not_allowed_is_not_followed(tmp_path, giver):
    allowed = [rf"http://{re.escape(giver)}/302/.*", r"http://other\.example/.*"]
    with pytest.raises(Forbidden):
        download.download(f"http://{giver}/302/1/a.mar", tmp_path / "a.mar", allowed=allowed)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "port", "host"),
    [
        ("http://127.0.0.1/a", 80, "127.0.0.1"),
        ("https://127.0.0.1/a", 443, "127.0.0.1"),
        ("http://127.0.0.1:8000/a", 8000, "127.0.0.1"),
        ("https://127.0.0.1:8000/a", 8000, "127.0.0.1"),
    ],
)
def test_the_port_is_that_of_the_scheme_unless_it_is_said(url, port, host):
    parts = urllib.parse.urlsplit(url)
    connection = download._connection(parts, [r"https?://127\.0\.0\.1.*"])
    assert (connection.port, connection.host) == (port, host)
    assert isinstance(connection, http.client.HTTPSConnection) == url.startswith("https")
    assert connection.timeout == download.SECONDS


def test_a_url_without_a_path_asks_for_the_first_page():
    asked = []
    connection = SimpleNamespace(
        request=lambda *words, headers: asked.append((*words, headers)), getresponse=lambda: None
    )
    for url in ("http://a.example", "http://a.example:81/b?c=1#d"):
        download._get(connection, urllib.parse.urlsplit(url))
    assert asked == [
        ("GET", "/", {"Host": "a.example"}),
        ("GET", "/b?c=1", {"Host": "a.example:81"}),
    ]


def test_no_redirect_leads_to_a_file_of_this_machine(tmp_path, giver):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    allowed = [r"http://127\.0\.0\.1:\d+/.*", "file:///.*"]
    download.download(secret.as_uri(), tmp_path / "b.mar", allowed=allowed)
    url = f"http://{giver}/302/{urllib.parse.quote(secret.as_uri(), safe='')}/"
    with pytest.raises(Forbidden):
        download.download(url, tmp_path / "a.mar", allowed=allowed)
    assert sorted(names(tmp_path)) == ["b.mar", "secret"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("301/5/", "too many redirects"), ("404/1/", "status 404"), ("201/1/", "status 201"),
     ("304/1/", "status 304"), ("200/short/", "the file ends too early")],
)  # fmt: skip
def test_what_cannot_be_had_leaves_nothing(tmp_path, giver, path, reason):
    with pytest.raises(OSError, match=reason):
        had(tmp_path, f"http://{giver}/{path}")
    assert names(tmp_path) == []


def test_no_more_than_is_allowed_is_had(tmp_path, giver, monkeypatch):
    size = len(f"{giver} /200/1/")
    monkeypatch.setattr(download, "MOST_BYTES", size)
    assert len(had(tmp_path, f"http://{giver}/200/1/")) == size
    (tmp_path / "had.mar").unlink()
    monkeypatch.setattr(download, "MOST_BYTES", size - 1)
    with pytest.raises(OSError, match="too large"):
        had(tmp_path, f"http://{giver}/200/1/")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1@127.0.0.1/a.mar",
        "http://127.0.0.1\\@127.0.0.1/a.mar",
        "http://127.0.0.1\\x/a.mar",
        "http://127.0.0.1/a b.mar",
        "http://127.0.0.1/a\n.mar",
        "http://127.0.0.1/a\u2028.mar",
        "ftp://127.0.0.1/a.mar",
        "http://127.0.0.1/x/../a.mar",
        "http://127.0.0.1/x/%2e./a.mar",
        "http:///a.mar",
        "other",
    ],
)
def test_a_url_that_means_another_than_it_seems(tmp_path, url):
    with pytest.raises(Forbidden):
        download.download(
            url, tmp_path / "a.mar", allowed=[r"(http|ftp)://.*127.0.0.1.*", "http:///.*"]
        )
    assert not names(tmp_path)


class Sent:
    """A request whose body comes in pieces."""

    scope, request_id = {"headers": []}, "1"

    def __init__(self, folder, *pieces, limit=100):
        self.server = SimpleNamespace(config=ServerConfig(max_upload_size=limit), uploads=folder)
        self.pieces = list(pieces)

    async def receive(self):
        piece = self.pieces.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}


def test_an_upload_has_its_name_when_it_is_whole(tmp_path):
    digest = hashlib.sha256(b"PK\x03\x04rest").hexdigest()[:12]
    for pieces in ((b"PK\x03\x04rest",), (b"P", b"", b"K\x03", b"\x04re", b"st")):
        found = asyncio.run(received(Sent(tmp_path, *pieces, limit=8), "m"))
        assert (found.url, found.source) == (f"m-{digest}.mar", tmp_path / found.url)
        assert found.source.read_bytes() == b"PK\x03\x04rest"
        assert stat.S_IMODE(found.source.stat().st_mode) == 0o600
        found.source.unlink()
    found = asyncio.run(received(Sent(tmp_path, b"\x1f", b"\x8b"), "m"))
    assert found.url.endswith(".tar.gz")
    found.source.unlink()
    for wrong, status in ((Sent(tmp_path, b"PK\x03\x04", b"rest", limit=7), 413),
                          (Sent(tmp_path, b"rest"), 400), (Sent(tmp_path, b""), 400)):  # fmt: skip
        with pytest.raises(ServeError) as told:
            asyncio.run(received(wrong, "m"))
        assert told.value.status == status
    with pytest.raises(Gone):
        asyncio.run(received(Sent(tmp_path, b"PK\x03\x04", None), "m"))
    for name in ("", ".m", "a/b", "a b", "x" * 129):
        with pytest.raises(ServeError, match="A model's name has letters"):
            asyncio.run(received(Sent(tmp_path, b"PK\x03\x04"), name))
    assert names(tmp_path) == []


def test_an_upload_that_says_that_it_is_too_large_is_not_read(tmp_path):
    sent = Sent(tmp_path, b"PK\x03\x04", limit=8)
    for length, status in (("9", 413), ("9" * 16, 413), ("8", None)):
        sent.scope = scope(content_length=length)
        told = None
        try:
            asyncio.run(received(sent, "m"))
        except ServeError as error:
            told = error.status
        assert (told, len(sent.pieces)) == (status, 0 if status is None else 1)


def test_an_upload_of_a_client_that_says_nothing_more_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "SILENT_SECONDS", 0.01)

    class Silent(Sent):
        async def receive(self):
            if not self.pieces:
                await asyncio.sleep(3600)
            return {"type": "http.request", "body": self.pieces.pop(), "more_body": True}

    for pieces in ((), (b"PK\x03\x04",)):
        with pytest.raises(ServeError) as told:
            asyncio.run(received(Silent(tmp_path, *pieces), "m"))
        assert told.value.status == 408
    assert names(tmp_path) == []
