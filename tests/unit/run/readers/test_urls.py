"""URLs of any scheme that fsspec knows."""

from __future__ import annotations

import builtins
import functools
import http.server
import io
import tarfile
import threading
import zipfile

import fsspec
import pytest

from mar_core.run.readers.sources import is_url


@pytest.fixture
def memory():
    """fsspec's file system in memory, empty."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("s3://bucket/x.png", True), ("https://h/x", True), ("simplecache::s3://b/x", True),
        ("git+ssh://h/x", True), ("a/b.png", False), ("C:/x", False), ("://x", False),
        ("what is://this", False),
    ],
)  # fmt: skip
def test_what_is_a_url(source, url):
    assert is_url(source) == url


def test_files_rows_folders_and_patterns(memory, requests):
    memory.pipe({
        "/b/x.txt": b"hi", "/b/r.jsonl": b'{"data": 1}\n2\n', "/b/d/2.txt": b"two",
        "/b/d/e/1.txt": b"one", "/b/d/.hid": b"",
    })  # fmt: skip
    assert requests("memory://b/x.txt") == [("memory://b/x.txt", {"body": bytearray(b"hi")})]
    assert requests("memory://b/r.jsonl") == [
        ("memory://b/r.jsonl:1", {"data": 1}), ("memory://b/r.jsonl:2", {"body": 2}),
    ]  # fmt: skip
    below = [
        ("memory:///b/d/2.txt", {"body": bytearray(b"two")}),
        ("memory:///b/d/e/1.txt", {"body": bytearray(b"one")}),
    ]
    assert requests("memory://b/d/") == below
    assert requests("memory://b/**/1.txt") == below[1:]
    assert requests("memory://b/d/", include=("1*",)) == below[1:]


def test_archives(memory, requests):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"hi"))
    memory.pipe("/p.tar", packed.getvalue())
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("b.txt", "ho")
    memory.pipe("/p.zip", zipped.getvalue())
    assert requests("memory://p.tar", "memory://p.zip") == [
        ("memory://p.tar!a.txt", {"body": bytearray(b"hi")}),
        ("memory://p.zip!b.txt", {"body": bytearray(b"ho")}),
    ]  # fmt: skip


@pytest.fixture
def web(tmp_path):
    """A web server of this machine, for one folder."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def test_the_web(web, requests):
    folder, address = web
    (folder / "x.txt").write_text("hi")
    (folder / "t.csv").write_text("a\n1\n")
    sources = (f"{address}/x.txt?size=3", f"{address}/t.csv?v=1", f"{address}/gone.txt")
    (name, first), (row, second), (_, said) = requests(*sources)
    assert (name, first) == (sources[0], {"body": bytearray(b"hi")})
    assert (row, second) == (f"{sources[1]}:1", {"data": {"a": "1"}})
    assert said == f"There is no {address}/gone.txt."


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("memory://gone.png", "There is no memory://gone.png."),
        ("memory://gone/*.png", "No file fits memory://gone/*.png."),
        ("nosuch://x/y.png", "nosuch://x/y.png cannot be opened: nothing here reads nosuch://."),
        (
            "s3://b/x.png",
            (
                "s3://b/x.png cannot be opened: reading s3:// needs another package. "
                "Install it: `pip install s3fs`."
            ),
        ),
    ],
)
def test_what_cannot_be_opened_costs_one_row(memory, requests, source, sentence):
    assert requests(source) == [(source, sentence)]


def test_without_fsspec(requests, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] == "fsspec":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    ((_, said),) = requests("memory://x.png")
    assert said == (
        "memory://x.png: reading URLs needs fsspec. Install it: `pip install 'mar-core[remote]'`."
    )
