"""JSON, JSON lines, and standard input."""

from __future__ import annotations

import gzip
import io
import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mar_core import InputError
from mar_core.run.readers import json_stream
from mar_core.run.readers.json_stream import elements

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stdin(monkeypatch):
    def put(content: bytes):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


def test_lines_are_requests_by_number(here, requests, inputs):
    (here / "r.jsonl").write_bytes(
        b'\xef\xbb\xbf{"data": [1], "target": 3}\n\n \t\n{"x": 1}\r\n"t"\n7'
    )
    assert requests("r.jsonl") == [
        ("r.jsonl:1", {"data": [1], "target": 3}),
        ("r.jsonl:4", {"body": {"x": 1}}),
        ("r.jsonl:5", {"body": "t"}),
        ("r.jsonl:6", {"body": 7}),
    ]
    assert inputs("r.jsonl")[0].headers["Content-Type"] == "application/json"


def test_a_broken_line_costs_one_row(here, requests):
    (here / "r.jsonl").write_bytes(b'1\n{"a": }\n\xff\n' + b"[" * 100_000 + b"\n2\n")
    found = dict(requests("r.jsonl"))
    assert found["r.jsonl:1"] == {"body": 1}
    assert found["r.jsonl:2"] == "r.jsonl:2 is not JSON: expecting value at character 7."
    assert "r.jsonl:3 cannot be read" in found["r.jsonl:3"]
    assert "recursion" in found["r.jsonl:4"]
    assert found["r.jsonl:5"] == {"body": 2}


def test_a_column_is_sent_as_data(here, requests):
    (here / "r.jsonl").write_text('{"text": "a", "n": 1}\n{"n": 2}\n[1]\n')
    assert requests("r.jsonl", column="text") == [
        ("r.jsonl:1", {"data": "a"}),
        ("r.jsonl:2", "r.jsonl:2: There is no column 'text'. The columns are n."),
        ("r.jsonl:3", "r.jsonl:3: It is no object, so that it has no column 'text'."),
    ]


def test_packed_lines(here, requests):
    with gzip.open("r.jsonl.gz", "wb") as stream:
        stream.write(b"1\n2\n")
    assert requests("r.jsonl.gz") == [("r.jsonl.gz:1", {"body": 1}), ("r.jsonl.gz:2", {"body": 2})]
    whole = (here / "r.jsonl.gz").read_bytes()
    (here / "r.jsonl.gz").write_bytes(whole[:-9])
    *_, (name, sentence) = requests("r.jsonl.gz")
    assert name == "r.jsonl.gz"
    assert sentence.startswith("r.jsonl.gz cannot be read: ")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            '[{"data": 1}, 2, [3]]',
            [(":1", {"data": 1}), (":2", {"body": 2}), (":3", {"body": [3]})],
        ),
        ('{"a": [1]}', [("", {"body": {"a": [1]}})]),
        ('{"data": 5}', [("", {"body": {"data": 5}})]),
        (' \n"text"\n', [("", {"body": "text"})]),
        ("\ufeff[1]", [(":1", {"body": 1})]),
        ("[]", []),
    ],
)
def test_a_document_is_rows_or_one_request(here, requests, text, found):
    (here / "d.json").write_text(text, encoding="utf-8")
    assert requests("d.json") == [(f"d.json{end}", request) for end, request in found]


@pytest.mark.parametrize(
    ("text", "good", "fault"),
    [
        ("[1, 2", 2, "`,` or `]` is missing"),
        ("[1 2]", 1, "at character 3: `,` or `]` is missing"),
        ("[1,]", 1, "expecting value"),
        ("[1] 2", 1, "behind its end"),
        ('{"a"', 0, "expecting ':' delimiter"),
        ("", 0, "expecting value"),
        ('[1, "\\x"]', 1, "invalid \\escape"),
        ("[" * 100_000, 0, "nested too deep"),
    ],
)
def test_a_fault_keeps_what_came_before(here, requests, text, good, fault):
    (here / "d.json").write_text(text)
    found = requests("d.json")
    assert len(found) == good + 1
    assert found[-1][0] == "d.json"
    assert fault in found[-1][1]


def test_a_document_that_is_not_utf8(here, requests):
    (here / "d.json").write_bytes(b'["\xff"]')
    assert requests("d.json") == [("d.json", "d.json is not JSON at character 0: it is not UTF-8.")]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(VALUES, max_size=6), size=st.integers(1, 9), indent=st.sampled_from([None, 1]))
def test_any_array_in_any_pieces(rows, size, indent):
    whole = json.dumps(rows, ensure_ascii=False, indent=indent).encode(errors="surrogatepass")
    try:
        whole.decode()
    except UnicodeDecodeError:
        whole = json.dumps(rows, indent=indent).encode()
    pieces = (whole[start : start + size] for start in range(0, len(whole), size))
    found = list(elements(pieces, "x"))
    assert [value for _, value, _ in found] == rows
    assert [number for number, _, _ in found] == list(range(1, len(rows) + 1))


@settings(max_examples=60, deadline=None)
@given(row=VALUES, cut=st.floats(0, 1), size=st.integers(1, 9))
def test_a_cut_document_never_passes(row, cut, size):
    whole = json.dumps({"row": row}).encode()
    part = whole[: int(cut * (len(whole) - 1))]
    pieces = (part[start : start + size] for start in range(0, len(part), size))
    with pytest.raises(InputError, match="is not JSON"):
        list(elements(pieces, "x"))


def test_a_fault_at_the_start_of_a_long_document_is_found_at_once():
    def pieces():
        yield b"[1, oops, " + b"2, " * json_stream.CHUNK
        pytest.fail("read on behind the fault")

    with pytest.raises(InputError, match="expecting value"):
        list(elements(pieces(), "x"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"data": 1}\n\n2\n', [(":1", {"data": 1}), (":3", {"body": 2})]),
        (b'\n{"a": 1}', [(":2", {"body": {"a": 1}})]),
        (b"[1, 2]\n[1, 2]\n", [(":1", {"body": [1, 2]}), (":2", {"body": [1, 2]})]),
        (b'[{"data": 1}, 5]\n', [(":1", {"data": 1}), (":2", {"body": 5})]),
        (b"[1,\n 2]\n", [(":1", {"body": 1}), (":2", {"body": 2})]),
        (b'{\n "a": 1}', [("", {"body": {"a": 1}})]),
        (b'"text"\n"more"\n', [(":1", {"body": "text"}), (":2", {"body": "more"})]),
        (b"I like it.\nA lot.\n", [("", {"body": bytearray(b"I like it.\nA lot.\n")})]),
        (b'"Good," she said.', [("", {"body": bytearray(b'"Good," she said.')})]),
        (b"\x89PNG\n\x00\n", [("", {"body": bytearray(b"\x89PNG\n\x00\n")})]),
        (b"a\x00b", [("", {"body": bytearray(b"a\x00b")})]),
        (b"", [("", "There is nothing on standard input.")]),
        (b" \n\n", [("", "There is nothing on standard input.")]),
    ],
)
def test_standard_input_by_its_content(requests, stdin, content, found):
    stdin(content)
    assert requests("-") == [(f"-{end}", request) for end, request in found]


def test_standard_input_of_a_given_type(requests, stdin):
    stdin(b'[1, 2]\n{"a": 1}')
    assert requests("-", content_type="text/plain") == [("-", {"body": '[1, 2]\n{"a": 1}'})]


def test_standard_input_streams(readers, monkeypatch):
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            self.taken += 1
            row = b'{"data": 1}\n'
            buffer[: len(row)] = row
            return len(row)

    from mar_core import ReadOptions
    from mar_core.run.inputs import expand

    endless = Endless()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(endless)))
    items = expand(["-"], ReadOptions(), readers)
    assert [next(items).read() for _ in range(5)] == [{"data": 1}] * 5
    assert endless.taken < 10


def test_a_list_on_standard_input(here, requests, stdin):
    (here / "x.txt").write_text("hi")
    stdin(b"x.txt\n")
    assert requests("@-") == [("x.txt", {"body": bytearray(b"hi")})]
