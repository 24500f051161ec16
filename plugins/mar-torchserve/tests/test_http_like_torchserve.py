"""What TorchServe's HTTP clients rely on and its documentation does not say."""

from __future__ import annotations

import socket

import pytest
from dropin import DropIn, started

from mar_core.testing import make_archive

HANDLER = """
def handle(data, context):
    if data is None:
        return None
    if context.get_request_header(0, "describe") == "True":
        return [{"said of": "itself"}]
    return [repr(sorted(row.items())) for row in data]
"""
BROKEN = "def handle(data, context):\n    raise RuntimeError('no')\n"
FULL = "def handle(data, context):\n    raise MemoryError('no room')\n"


@pytest.fixture(scope="module")
def drop_in(tmp_path_factory):
    made = DropIn(tmp_path_factory.mktemp("like"))
    for name, source in (("echo", HANDLER), ("broken", BROKEN), ("full", FULL)):
        handler = made.folder / f"{name}_handler.py"
        handler.write_text(source)
        make_archive(made.store, handler=handler, model_name=name)
    make_archive(made.folder, handler=made.folder / "echo_handler.py", model_name="far")
    config = made.configure("unregister_model_timeout=0", f"model_store={made.store}")
    words = ["--ts-config", config, "--models", "echo=echo.mar", "--ncs", "--dt"]
    with started(made, *words, "--enable-model-api"):
        yield made


@pytest.fixture
def admin(drop_in):
    with drop_in.client("management") as client:
        yield client


@pytest.fixture
def client(drop_in):
    with drop_in.client() as client:
        yield client


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/echo:predict", "/v1/models/echo:explain",
        "/v2/models/echo/infer", "/v2/models/echo/explain",
    ],
)  # fmt: skip
def test_kserves_paths_hand_the_body_to_a_handler_without_an_envelope(client, path):
    assert client.post(path, data={"data": "x"}).text == "[('data', bytearray(b'x'))]"
    answer = client.post(path, json={"instances": [1, 2]})
    assert answer.text == "[('body', {'instances': [1, 2]})]"


def test_without_the_open_inference_protocol_there_is_no_health_of_v2(client):
    assert client.get("/v2/health/ready").status_code == 404


def test_the_page_is_for_browsers(client):
    for accept, status in (("*/*", 405), ("", 405), ("text/html,*/*;q=0.8", 200)):
        assert client.get("/", headers={"accept": accept}).status_code == status
    assert client.get("/").json()["type"] == "MethodNotAllowedException"


def test_a_body_without_a_length_costs_its_request_nothing(drop_in):
    """As Netty's clients send it whose author has forgotten the length."""
    with socket.create_connection(("127.0.0.1", drop_in.ports[0]), timeout=30) as connection:
        connection.sendall(b"POST /predictions/echo HTTP/1.1\r\n\r\ndata=x y\r\n")
        answer = b"".join(iter(lambda: connection.recv(9999), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"[('body', bytearray(b''))]"


def test_a_lack_of_memory_has_a_status_of_its_own(admin):
    params = {"url": "full.mar", "initial_workers": 1}
    answer = admin.post("/models", params=params)
    text = "Failed to start workers for model full version: 1.0"
    assert (answer.status_code, answer.json()["message"]) == (507, text)


def test_a_form_may_name_the_model(admin, client):
    said = admin.post("/models", params={"url": "echo.mar", "model_name": "second"})
    assert said.status_code == 200
    try:
        fields = {"model_name": (None, "echo"), "data": ("a.txt", b"x", "text/plain")}
        answer = client.post("/invocations", files=fields)
        assert answer.text == "[('data', 'x'), ('model_name', bytearray(b'echo'))]"
        answer = client.post("/invocations", data={"data": "x"})
        assert answer.json()["message"] == "Parameter model_name is required."
        kind = {"content-type": "multipart/form-data; boundary=b"}
        assert client.post("/invocations", content=b"--b", headers=kind).status_code == 400
    finally:
        admin.delete("/models/second")
        admin.delete("/models/second")


def test_parameters_may_be_json_as_gson_reads_it(admin):
    json = {"content-type": "application/json"}
    body = "{'url': 'echo.mar', 'model_name':'gson', 'initial_workers':'0'}"
    assert admin.post("/models", content=body, headers=json).status_code == 200
    admin.delete("/models/gson")
    assert admin.delete("/models/gson").status_code == 200
    for body in ("{'url': &a x, 'model_name': *a}", "{'url': ", "[1]", "['url'", "\x00"):
        answer = admin.post("/models", content=body, headers=json)
        assert (answer.status_code, answer.json()["type"]) == (400, "BadRequestException")


def test_a_removal_that_takes_too_long_is_told_and_can_be_asked_for_again(admin):
    assert admin.post("/models", params={"url": "echo.mar", "model_name": "slow"}).is_success
    answer = admin.delete("/models/slow")
    assert answer.status_code == 408
    assert answer.json() == {
        "code": 408,
        "type": "RequestTimeoutException",
        "message": "Timed out while cleaning resources: slow",
    }
    assert admin.get("/models/slow").json()[0]["workers"] == []
    assert admin.delete("/models/slow").json() == {"status": 'Model "slow" unregistered'}
    assert admin.get("/models/slow").status_code == 404


def test_a_file_is_copied_into_the_store_and_leaves_it_with_its_model(drop_in, admin):
    url = (drop_in.folder / "far.mar").as_uri()
    assert admin.post("/models", params={"url": url}).status_code == 200
    copy = drop_in.store / "far.mar"
    assert copy.read_bytes() == (drop_in.folder / "far.mar").read_bytes()
    admin.delete("/models/far")
    assert admin.delete("/models/far").status_code == 200
    assert not copy.exists()
    (drop_in.folder / "secret.txt").write_text("no archive")
    answer = admin.post("/models", params={"url": (drop_in.folder / "secret.txt").as_uri()})
    assert answer.status_code == 400
    assert not (drop_in.store / "secret.txt").exists()


def test_a_function_describes_itself_as_it_is_asked(admin):
    described = admin.get("/models/echo?customized=true").json()[0]
    assert described["customizedMetadata"] == {"said of": "itself"}


@pytest.mark.parametrize(
    "url", ["file:///missing", "http://localhost:1/x.mar", "https://127.0.0.1:1/x.mar"]
)
def test_what_cannot_be_fetched(admin, url):
    answer = admin.post("/models", params={"url": url})
    assert answer.status_code == 400
    assert answer.json()["type"] == "DownloadArchiveException"
    assert answer.json()["message"] == f"Failed to download archive from: {url}"


def test_a_scaling_that_fails_names_the_version_and_logs_the_lines_of_the_handler(drop_in, admin):
    assert admin.post("/models", params={"url": "broken.mar"}).status_code == 200
    wanted = {"min_worker": 1, "synchronous": "true"}
    for path, version in (("/models/broken", "null"), ("/models/broken/1.0", "1.0")):
        answer = admin.put(path, params=wanted)
        text = f"Failed to start workers for model broken version: {version}"
        assert (answer.status_code, answer.json()["message"]) == (500, text)
    log = drop_in.log()
    assert "broken 1.0 worker" in log
    assert 'broken_handler.py", line 2, in handle' in log
    assert "RuntimeError: no" in log
