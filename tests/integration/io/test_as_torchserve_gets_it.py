"""The same curl command against TorchServe itself: what its handler gets is what ours gets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from serving import free_ports

from mar_core import ReadOptions
from mar_core.run.curl import form_input, parse_field, parse_headers
from mar_core.run.readers.files import FileReader

TORCHSERVE = Path(sys.prefix) / "torchserve"
# Tells what it got, with the types.
HANDLER = """
def told(value):
    return [type(value).__name__, repr(value)]


def handle(data, context):
    if data is None:
        return None
    return [
        {
            "request": {name: told(value) for name, value in row.items()},
            "headers": context.get_all_request_header(index),
        }
        for index, row in enumerate(data)
    ]
"""
FILES = {
    "x.png": b"\x89PNG\r\n",
    "x.json": b'{"a": [1, NaN]}',
    "x.txt": "caf\u00e9".encode(),
    "x.bin": b"\xff\xfe",
    'odd, na"me;.txt': b"odd",
    "f1": b"a=1&b=%20x+y&c=",
    "f2": b"a&b=1",
    "f3": b"a=1&b",
    "f4": b"a=1;b=2&a=3",
    "f5": b"caf\xc3\xa9=\xc3\xa9&x=%C3%A9",
    "f6": b"a=1&b=2\r\n",
    "f7": b"a==b&c=\n",
    "f8": b"",
}
FORMS = [
    ["-F", "data=@x.png"],
    ["-F", "data=@x.json"],
    ["-F", "data=@x.json;type=application/json"],
    ["-F", "data=@x.json;type=application/json;charset=utf-8"],
    ["-F", "data=@x.bin;type=application/json"],
    ["-F", "data=@x.bin;type=text/plain"],
    ["-F", "data=@x.txt", "-F", "data=@x.png", "-F", "target=3"],
    ["-F", 'data={"a": 1};type=application/json'],
    ["-F", "data=<x.txt;type=text/plain"],
    ["-F", 'data="say \\"hi\\"; all";type=text/plain'],
    ["-F", 'data=@"odd, na\\"me;.txt"'],
    ["-F", "data=@x.txt,x.png"],
    ["-F", "data=@x.txt;filename=y.png"],
    ["-F", "data=", "-F", "b=c=d"],
    ["-F", "data=@x.png", "-H", "X-Id: 7", "-H", "X-Empty;"],
]
BODIES = [
    ("x.png", "image/png"),
    ("x.json", "application/json"),
    ("x.json", "application/json; charset=utf-8"),
    ("x.json", "Application/Json"),
    ("x.bin", "application/json"),
    ("x.txt", "text/plain; charset=latin-1"),
    ("x.bin", "text/plain"),
    *((f"f{n}", "application/x-www-form-urlencoded") for n in range(1, 9)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("requests")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a real TorchServe with the handler above."""
    if not shutil.which("java") or not shutil.which("curl"):
        pytest.skip("needs Java and curl")
    home = tmp_path_factory.mktemp("server")
    model = home / "store" / "echo"
    (model / "MAR-INF").mkdir(parents=True)
    (model / "handler.py").write_text(HANDLER)
    manifest = {"runtime": "python", "model": {"modelName": "echo", "handler": "handler.py"}}
    (model / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    ports = free_ports(5)
    names = ("inference_address", "management_address", "metrics_address")
    lines = [f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, ports, strict=False)]
    lines += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}"]
    lines += ["default_workers_per_model=1", "install_py_dep_per_model=false"]
    (home / "config.properties").write_text("\n".join(lines))
    command = (
        "import sys; sys.argv = ['torchserve', '--start', '--foreground', '--ncs', "
        "'--model-store', 'store', '--models', 'echo=echo', '--ts-config', 'config.properties', "
        "'--disable-token-auth']; from ts.model_server import start; start()"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(TORCHSERVE), "TEMP": str(home), "PATH": path}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", command],
            cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{ports[0]}"
    try:
        await_ready(address, process, home / "log")
        yield f"{address}/predictions/echo"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - our own
            return True
    except OSError:
        return False


def await_ready(address, process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if answers(f"{address}/ping"):
            return
        time.sleep(0.3)
    pytest.fail(f"TorchServe did not start:\n{log.read_text()[-3000:]}")


def torchserve(server, folder, *words):
    """What TorchServe's handler got from a curl command."""
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", *words, server],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def told(item):
    return {name: [type(v).__name__, repr(v)] for name, v in item.read().items()}


def compare(item, theirs):
    assert told(item) == theirs["request"]
    for name, value in item.headers.items():
        said = theirs["headers"][name]
        assert said.startswith(value) if name == "Content-Type" else said == value


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("torchserve")]


@pytest.mark.parametrize("words", FORMS, ids=" ".join)
def test_forms(server, folder, words, monkeypatch):
    monkeypatch.chdir(folder)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    fields = [field for flag, word in pairs if flag == "-F" for field in parse_field(word)]
    headers = parse_headers(word for flag, word in pairs if flag == "-H")
    compare(form_input(fields, ReadOptions(headers=headers)), torchserve(server, folder, *words))


@pytest.mark.parametrize(("name", "kind"), BODIES)
def test_bodies(server, folder, name, kind, monkeypatch):
    monkeypatch.chdir(folder)
    (item,) = FileReader().read(name, ReadOptions(content_type=kind))
    words = ("-H", f"Content-Type: {kind}", "--data-binary", f"@{name}")
    theirs = torchserve(server, folder, *words)
    if kind.endswith("urlencoded"):
        assert told(item) == theirs["request"]
        return
    compare(item, theirs)
