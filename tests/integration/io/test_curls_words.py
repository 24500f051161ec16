"""The lines of curl that TorchServe's users have, pasted behind ``mar run``, and what arrives."""

from __future__ import annotations

import base64
import json

import pytest
from packs import mar

HANDLER = """
import json

def handle(data, context):
    if data is None:
        return None
    return [answer(at, row, context) for at, row in enumerate(data)]

def answer(at, row, context):
    body = row.get("body")
    if isinstance(body, dict) and body.get("do") == "decode":
        return body.decode()
    if body in (b"get", "get"):
        return body.get("x") if isinstance(body, bytearray) else "text"
    if body == b"index":
        return body["x"]
    seen = {"row": {name: [type(v).__name__, repr(v)] for name, v in row.items()}}
    seen["headers"] = {
        name: context.get_request_header(at, name)
        for name in ("explain", "url_path", "X-Id", "x-id", "Content-Type", "content-type")
        if context.get_request_header(at, name) is not None
    }
    return seen
"""
BYTES = """
import json

def handle(data, context):
    if data is None:
        return None
    return [row["data"] if "data" in row else row["body"] for row in data]
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    for name, code in (("desk", HANDLER), ("same", BYTES)):
        (folder / f"{name}.py").write_text(code)
        words = ("--model-name", name, "--version", "1.0", "--handler", f"{name}.py", "-q")
        mar("archive", *words, cwd=folder)
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "a.json").write_text('{"data": "hello", "lang": "en"}')
    (folder / "list.json").write_text("[1, 2, 3]")
    (folder / "x.png").write_bytes(b"\x89PNG")
    (folder / "rows.jsonl").write_text('{"n": 1}\n{"data": "d"}\n')
    (folder / "rows.csv").write_text("text,n\ngood,1\n")
    (folder / "decode.json").write_text('{"do": "decode"}')
    (folder / "get.txt").write_text("get")
    (folder / "index.txt").write_text("index")
    return folder


def run(desk, *words, code=0):
    done = mar("run", "desk.mar", *words, "-q", cwd=desk, code=code)
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(desk, *words):
    return [row["result"]["row"] for row in run(desk, *words)]


def headers(desk, *words):
    return run(desk, *words)[0]["result"]["headers"]


JSON = ("-H", "content-type: application/json")
DOCUMENT = {"body": ["dict", "{'data': 'hello', 'lang': 'en'}"]}


@pytest.mark.parametrize(
    ("words", "row"),
    [
        (("-T", "a.txt"), {"body": ["bytearray", r"bytearray(b'one\ntwo\n')"]}),
        (("a.txt",), {"body": ["bytearray", r"bytearray(b'one\ntwo\n')"]}),
        (("-T", "x.png"), {"body": ["bytearray", r"bytearray(b'\x89PNG')"]}),
        (("x.png",), {"body": ["bytearray", r"bytearray(b'\x89PNG')"]}),
        (("-T", "list.json"), {"body": ["bytearray", "bytearray(b'[1, 2, 3]')"]}),
        (("-T", "list.json", *JSON), {"body": ["list", "[1, 2, 3]"]}),
        (("-T", "a.txt", "-H", "Content-Type: text/plain"), {"body": ["str", r"'one\ntwo\n'"]}),
        (("-d", "@list.json", *JSON), {"body": ["list", "[1, 2, 3]"]}),
        (("-d", "@a.json", *JSON), DOCUMENT),
        (("--data", "@a.json", "-H", "Content-Type: application/json"), DOCUMENT),
        (("--data-binary", "@a.json", *JSON), DOCUMENT),
        (("-d", '{"data": "hello", "lang": "en"}', *JSON), DOCUMENT),
        (("a.json",), DOCUMENT),
        (("a.json", *JSON), DOCUMENT),
        (("a.json", "--content-type", "application/json"), DOCUMENT),
        (("list.json", *JSON), {"body": ["list", "[1, 2, 3]"]}),
        (("-d", "a=1", "-d", "b=x%20y"),
         {"a": ["bytearray", "bytearray(b'1')"], "b": ["bytearray", "bytearray(b'x y')"]}),
        (("-d", "@a.txt", "-H", "content-type: text/plain"), {"body": ["str", "'onetwo'"]}),
        (("--data-binary", "@a.txt", "-H", "content-type: text/plain"),
         {"body": ["str", r"'one\ntwo\n'"]}),
        (("-F", "data=@a.txt", "-F", "target=3"),
         {"data": ["str", r"'one\ntwo\n'"], "target": ["bytearray", "bytearray(b'3')"]}),
        (("-F", "data=@a.json;type=application/json"),
         {"data": ["dict", "{'data': 'hello', 'lang': 'en'}"]}),
        (("rows.csv", "--raw", "--column", "text"), {"data": ["bytearray", "bytearray(b'good')"]}),
        (("rows.csv", "--raw"),
         {"body": ["bytearray", """bytearray(b'{"text": "good", "n": "1"}')"""]}),
        (("a.json", "--raw"),
         {"body": ["bytearray", """bytearray(b'{"data": "hello", "lang": "en"}')"""]}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_one_request(desk, words, row):
    assert rows(desk, *words) == [row]


def test_rows(desk):
    assert rows(desk, "list.json") == [{"body": ["int", f"{n}"]} for n in (1, 2, 3)]
    assert rows(desk, "rows.jsonl") == [{"body": ["dict", "{'n': 1}"]}, {"data": ["str", "'d'"]}]
    assert rows(desk, "rows.jsonl", "--raw") == [
        {"body": ["bytearray", """bytearray(b'{"n": 1}')"""]},
        {"body": ["bytearray", """bytearray(b'{"data": "d"}')"""]},
    ]
    assert rows(desk, "-T", "x.png", "-T", "a.txt") == [
        {"body": ["bytearray", r"bytearray(b'\x89PNG')"]},
        {"body": ["bytearray", r"bytearray(b'one\ntwo\n')"]},
    ]


def test_headers_in_the_clients_case(desk):
    always = {"explain": "False", "url_path": ""}
    assert headers(desk, "a.txt") == always
    assert headers(desk, "-T", "a.txt", "-H", "X-Id: 7") == {**always, "X-Id": "7"}
    assert headers(desk, "a.txt", "-H", "x-id: 7") == {**always, "x-id": "7"}
    assert headers(desk, "a.json", *JSON)["content-type"] == "application/json"
    assert headers(desk, "a.json", "-H", "Content-Type: text/plain")["Content-Type"] == "text/plain"
    assert headers(desk, "a.txt", "--explain")["explain"] == "True"


@pytest.mark.parametrize(
    "words",
    [
        ("a.txt", "-F", "a=1"), ("a.txt", "-T", "x.png"), ("a.txt", "-d", "x"),
        ("-F", "a=1", "-d", "x"), ("-T", "x.png", "-F", "a=1"),
    ],
)  # fmt: skip
def test_two_ways_to_say_what_is_sent(desk, words):
    done = mar("run", "desk.mar", *words, cwd=desk, code=2)
    assert "say what is sent. Run once for each of them." in done.stderr


def test_two_content_types(desk):
    done = mar("run", "desk.mar", "a.txt", "--content-type", "a/b", *JSON, cwd=desk, code=2)
    assert "--content-type says a/b, and -H says application/json" in done.stderr


def test_bytes_where_json_is_expected_and_the_other_way_round(desk):
    (row,) = run(desk, "decode.json", code=1)
    assert "'dict' object has no attribute 'decode'" in row["error"]["message"]
    assert "expects bytes: send the file with -T, or rows with --raw" in row["error"]["message"]
    for name in ("get.txt", "index.txt"):
        (row,) = run(desk, name, code=1)
        assert "-H 'content-type: application/json'" in row["error"]["message"]
    assert run(desk, "get.txt", "-H", "content-type: text/plain")


def test_results_that_are_text_are_shown_as_text(desk):
    words = ("run", "same.mar", "a.txt", "-T", "x.png")
    done = mar("run", "same.mar", "a.txt", "x.png", "a.json", "-q", "--raw", cwd=desk)
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == [
        "one\ntwo\n", {"base64": base64.b64encode(b"\x89PNG").decode()},
        {"data": "hello", "lang": "en"},
    ]  # fmt: skip
    assert "both" in mar(*words, cwd=desk, code=2).stderr.lower()


@pytest.mark.parametrize(
    ("envelope", "answer"),
    [("json", '{"predictions": ["[1, 2]"]}'), ("kserve", {"predictions": ["[1, 2]"]})],
)
def test_a_line_of_a_batch_is_an_instance(tmp_path, envelope, answer):
    (tmp_path / "says.py").write_text(
        "def handle(data, context):\n    return [str(one) for one in data] if data else None\n"
    )
    blob = base64.b64encode(b"pixels").decode()
    lines = [[1, 2], {"b64": blob}, {"data": 5}, {"instances": [7, 8]}]
    (tmp_path / "batch.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (tmp_path / "one.json").write_text('{"instances": [1]}')
    words = ("run", "--handler", "says.py", "batch.jsonl", "one.json", "--envelope", envelope)
    found = [json.loads(line) for line in mar(*words, "-q", cwd=tmp_path).stdout.splitlines()]
    assert found[0]["result"] == answer
    told = [
        json.loads(row["result"]) if isinstance(row["result"], str) else row["result"]
        for row in found
    ]
    second = "b'pixels'" if envelope == "json" else f"{{'b64': '{blob}'}}"
    assert [one["predictions"] for one in told[1:]] == [
        [second],
        ["{'data': 5}"],
        ["7", "8"],
        ["1"],
    ]
