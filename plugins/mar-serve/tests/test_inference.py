"""TorchServe's inference API, over real sockets."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import zlib

import httpx
import pytest
import serving
import serving_handlers as handlers

TEXT = {"content-type": "text/plain"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inference")
    echo = handlers.make(folder, "echo")
    handlers.make(folder / "two", "echo", version="2.0")
    stream = handlers.make(folder, "stream", handlers.STREAM)
    batch = handlers.make(folder, "batch", batchSize=8, maxBatchDelay=2000)
    words = [echo, folder / "two" / "echo.mar", stream, batch]
    with serving.running(*words, folder=folder) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with server.client() as client:
        yield client


def error(answer, status, kind, message):
    __tracebackhide__ = True
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert answer.json() == {"code": status, "type": kind, "message": message}


def test_a_healthy_server_says_so_with_the_headers_of_every_answer(client):
    for method in ("GET", "POST"):
        answer = client.request(method, "/ping")
        assert answer.text == '{\n  "status": "Healthy"\n}\n'
    assert answer.headers["pragma"] == "no-cache"
    assert answer.headers["cache-control"] == "no-cache; no-store, must-revalidate, private"
    assert answer.headers["expires"] == "Thu, 01 Jan 1970 00:00:00 UTC"
    assert re.fullmatch(
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer.headers["x-request-id"]
    )


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
def test_any_method_predicts(client, method):
    answer = client.request(method, "/predictions/echo", content="hi", headers=TEXT)
    assert answer.status_code == 200
    assert answer.json()["value"] == "hi"
    assert answer.json()["type"] == "str"
    assert "content-type" not in answer.headers


@pytest.mark.parametrize(
    ("content_type", "body", "value", "kind"),
    [
        (None, b"raw", "raw", "bytearray"),
        ("application/json", b'{"a": 1}', {"a": 1}, "dict"),
        ("application/json; charset=utf-8", b"[1]", [1], "list"),
        ("Application/JSON", b"[1]", "[1]", "bytearray"),
        ("application/json", b"{broken", "{broken", "bytearray"),
        ("text/csv", b"a,b", "a,b", "str"),
        ("text/plain", b"\xff", "\xff", "bytearray"),
        ("image/png", b"\x89PNG", "\x89PNG", "bytearray"),
    ],
)
def test_the_row_is_what_the_content_type_says(client, content_type, body, value, kind):
    headers = {} if content_type is None else {"content-type": content_type}
    shown = client.post("/predictions/echo", content=body, headers=headers).json()
    assert (shown["value"], shown["type"], shown["fields"]) == (value, kind, ["body"])


def test_forms_become_fields(client):
    files = {"data": ("a.txt", b"file", "text/plain"), "more": (None, "x")}
    shown = client.post("/predictions/echo", files=files).json()
    assert (shown["value"], shown["type"], shown["fields"]) == ("file", "str", ["data", "more"])
    shown = client.post("/predictions/echo", data={"data": "a b", "x": "1"}).json()
    assert (shown["value"], shown["type"], shown["fields"]) == ("a b", "bytearray", ["data", "x"])


def test_header_names_keep_the_clients_case_and_the_id_is_the_answers(client):
    answer = client.post("/predictions/echo", headers={"X-MiXed": "Value"}, content=b"")
    shown = answer.json()
    assert shown["mixed"] == "Value"
    assert shown["id"] == answer.headers["x-request-id"]
    assert (shown["explain"], shown["url_path"]) == ("False", "")


def test_versions_and_the_rest_of_the_path(client):
    assert client.get("/predictions/echo").json()["version"] == "1.0"
    assert client.get("/predictions/echo/2.0").json()["version"] == "2.0"
    assert client.get("/predictions/echo/2.0/a/b%20c").json()["url_path"] == "a/b c"


def test_explanations(client):
    shown = client.post("/explanations/echo/2.0", content="x", headers=TEXT).json()
    assert (shown["explain"], shown["version"]) == ("True", "2.0")


def test_old_routes_take_the_querys_parameters_into_the_row(client):
    shown = client.post("/echo/predict?data=5&x=1").json()
    assert (shown["value"], shown["fields"]) == ("5", ["body", "data", "x"])
    assert client.post("/echo/2.0/predict").json()["version"] == "2.0"
    shown = client.post("/models/echo/invoke?x=1", content="b", headers=TEXT).json()
    assert shown["fields"] == ["body", "x"]
    assert (
        client.post("/invocations?model_name=echo", content="b", headers=TEXT).json()["value"]
        == "b"
    )
    shown = client.post("/predictions/echo?x=1", content="b", headers=TEXT).json()
    assert shown["fields"] == ["body"]


def test_what_is_not_there(client):
    nothing = "Requested resource is not found, please refer to API document."
    error(client.get("/predictions/no"), 404, "ModelNotFoundException", "Model not found: no")
    error(
        client.get("/predictions/echo/9.9"),
        404,
        "ModelVersionNotFoundException",
        "Model version: 9.9 does not exist for model: echo",
    )
    error(client.get("/nowhere"), 404, "ResourceNotFoundException", nothing)
    wrong = "Requested method is not allowed, please refer to API document."
    error(client.put("/v1/models/echo:predict"), 405, "MethodNotAllowedException", wrong)


@pytest.mark.parametrize(
    ("word", "status", "message"),
    [
        ("raise", 503, "Prediction failed"),
        ("fewer", 503, "number of batch response mismatched"),
        ("object", 503, "Unsupported model output data type."),
        ("memory", 507, "Out of resources"),
        ("code404", 404, "my words"),
        ("code413", 507, "my words"),
        ("die", 500, "Worker died."),
    ],
)
def test_failures_have_torchserves_statuses_and_no_secrets(client, word, status, message):
    answer = client.post("/predictions/echo", content=word, headers=TEXT)
    error(answer, status, "InternalServerException", message)
    assert "passwd" not in answer.text
    assert client.post("/predictions/echo", content="next", headers=TEXT).json()["value"] == "next"


def test_the_log_has_what_the_client_does_not(server, client):
    answer = client.post("/predictions/echo", content="raise", headers=TEXT)
    name = answer.headers["x-request-id"]
    serving.eventually(
        lambda: any(name in line and "passwd" in line for line in server.log.splitlines())
    )


def test_what_a_handler_prints_reaches_the_log_without_its_escapes(server, client):
    client.post("/predictions/echo", content="text", headers=TEXT)
    server.wait_for("a handler printed this")
    assert "\x1b" not in server.log


def test_what_the_handler_says_of_its_answer(client):
    answer = client.post("/predictions/echo", content="headers", headers=TEXT)
    assert answer.text == "plain text"
    assert answer.headers["x-mine"] == "yes"
    assert answer.headers["content-type"] == "text/x-mine"
    assert client.post("/predictions/echo", content="status", headers=TEXT).status_code == 418
    answer = client.post("/predictions/echo", content="bytes", headers=TEXT)
    assert answer.content == b"\x00\xff"


def test_a_handlers_header_that_would_break_the_answer_is_left_out(client):
    answer = client.post("/predictions/echo", content="hostile headers", headers=TEXT)
    assert answer.json()["value"] == "hostile headers"
    assert answer.headers["x-mine"] == "yes\tno"
    assert not {"x-two", "x-three", "x-four", "x-nothing", "content-type"} & answer.headers.keys()


def test_what_needs_no_body_gets_none_and_the_connection_ends_when_asked(client):
    with contextlib.closing(http.client.HTTPConnection(str(client.base_url)[7:])) as connection:
        connection.request("HEAD", "/predictions/echo", b"x", TEXT)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.getheader("content-length")) > 0
        connection.request("POST", "/predictions/echo", b"x", {**TEXT, "connection": "close"})
        answer = connection.getresponse()
        assert json.loads(answer.read())["value"] == "x"
        assert answer.getheader("connection") == "close"
        assert connection.sock is None


def test_an_answer_in_pieces(client):
    with client.stream("POST", "/predictions/stream", content="x", headers=TEXT) as answer:
        assert answer.headers["ts_stream_next"] == "true"
        assert answer.headers["transfer-encoding"] == "chunked"
        assert list(answer.iter_raw()) == [b"one ", b"two ", b"three"]


def test_an_answer_that_breaks_off_cuts_the_connection(client):
    with client.stream("POST", "/predictions/stream", content="break", headers=TEXT) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


def test_a_packed_body_is_unpacked(client):
    for name, packed in (("gzip", gzip.compress(b"hello")), ("deflate", zlib.compress(b"hello"))):
        headers = {**TEXT, "content-encoding": name}
        assert (
            client.post("/predictions/echo", content=packed, headers=headers).json()["value"]
            == "hello"
        )
    headers = {**TEXT, "content-encoding": "br"}
    assert client.post("/predictions/echo", content=b"x", headers=headers).status_code == 415


def test_a_lone_request_does_not_wait_for_others(client):
    answer = client.post("/predictions/batch", content="x", headers=TEXT)
    assert answer.json()["size"] == 1
    assert answer.elapsed.total_seconds() < 1.5  # its maxBatchDelay is 2 s


def test_requests_that_come_together_run_together(server):
    from concurrent.futures import ThreadPoolExecutor

    def ask(number):
        with server.client() as client:
            return client.post(
                "/predictions/batch", content=f"sleep0.{number}", headers=TEXT
            ).json()

    with ThreadPoolExecutor(9) as pool:
        shown = list(pool.map(ask, [3] * 9))
    assert all(one["value"] == "sleep0.3" for one in shown)
    assert max(one["size"] for one in shown) > 1
    assert all(one["size"] <= 8 for one in shown)


def test_one_bad_request_fails_alone_also_when_it_kills_its_worker(server):
    from concurrent.futures import ThreadPoolExecutor

    def ask(word):
        with server.client() as client:
            answer = client.post("/predictions/batch", content=word, headers=TEXT)
            return answer.status_code, answer.json().get("value")

    words = ["sleep0.2", "a", "die", "b", "raise", "c"]
    with ThreadPoolExecutor(len(words)) as pool:
        answers = dict(zip(words, pool.map(ask, words), strict=True))
    assert answers.pop("die") == (500, None)
    assert answers.pop("raise") == (503, None)
    assert answers == {word: (200, word) for word in answers}


def test_descriptions(client):
    for answer in (
        client.options("/"),
        client.get("/api-description"),
        client.get("/openapi.json"),
    ):
        assert answer.json()["openapi"] == "3.0.1"
        assert "/predictions/{model_name}" in answer.json()["paths"]
    described = client.options("/predictions/echo").json()
    assert list(described["paths"]) == ["/predictions/echo/1.0"]


def test_a_description_of_nothing(client):
    assert client.options("/predictions/no").status_code == 404


def test_metrics_know_of_the_requests(server, client):
    client.get("/predictions/echo/2.0")
    with server.client(base_url=server.metrics) as metrics:
        text = metrics.get("/metrics").text
        some = metrics.get("/metrics", params={"name[]": "ts_inference_requests_total"}).text
    (line,) = re.findall(
        r'^ts_inference_requests_total\{.*model_version="2.0".*$', text, re.MULTILINE
    )
    assert 'model_name="echo"' in line
    assert float(line.rpartition(" ")[2]) >= 1
    assert "Requests2XX" in text
    assert "Requests2XX" not in some


@pytest.mark.parametrize("model", ["echo", "stream"])
def test_a_request_counts_for_the_version_that_it_names(server, client, model):
    def counted():
        with server.client(base_url=server.metrics) as metrics:
            text = metrics.get("/metrics").text
        pattern = rf'^ts_inference_requests_total\{{.*"{model}".*model_version="1.0".* (\S+)$'
        return sum(map(float, re.findall(pattern, text, re.MULTILINE)))

    before = counted()
    client.post(f"/predictions/{model}/1.0", content="x", headers=TEXT).raise_for_status()
    client.post(f"/predictions/{model}", content="x", headers=TEXT).raise_for_status()
    assert counted() == before + 1


def test_the_page_is_there(client):
    assert "text/html" in client.get("/").headers["content-type"]
    models = client.get("/page/models.json").json()["models"]
    assert {(m["name"], m["version"], m["ready"]) for m in models} >= {("echo", "1.0", True)}
    assert json.dumps(models)
