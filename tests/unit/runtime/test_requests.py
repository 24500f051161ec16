"""From a body as it was sent to the row that the handler sees."""

from __future__ import annotations

import pytest

from mar_core import InputError, Request
from mar_core.runtime.requests import MOST_FIELDS, row_of

BOUNDARY = "----x7"


def row(body=b"", content_type=None, **more):
    found, headers = row_of(tuple(Request("1", {"X-Mine": "a"}, body, content_type, **more)))
    assert headers["X-Mine"] == "a"
    return found, headers


def form(*parts):
    lines = []
    for disposition, kind, content in parts:
        lines += [f"--{BOUNDARY}", f"Content-Disposition: form-data; {disposition}"]
        lines += [f"Content-Type: {kind}"] if kind else []
        lines += ["", content]
    text = "\r\n".join([*lines, f"--{BOUNDARY}--", ""])
    return text.encode(), f"multipart/form-data; boundary={BOUNDARY}"


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b'{"a": 1}', "application/json", {"a": 1}),
        (b'{"a": 1}', "application/json; charset=utf-8", {"a": 1}),
        (b'{"a": 1}', "Application/JSON", bytearray(b'{"a": 1}')),
        (b"{", "application/json", bytearray(b"{")),
        (b"\xc3\xa9", "text/plain", "\xe9"),
        (b"\xff", "text/plain", bytearray(b"\xff")),
        (b"abc", None, bytearray(b"abc")),
        (b"", "image/png", bytearray()),
    ],
)
def test_a_body_is_one_value(body, content_type, value):
    found, headers = row(body, content_type)
    assert found == {"body": value}
    assert type(found["body"]) is type(value)
    kind = (content_type or "").partition(";")[0]
    assert headers["body"] == {"content-type": kind}


def test_nothing_is_decoded_where_that_is_switched_off():
    assert row(b"[1]", "application/json", decode=False)[0] == {"body": bytearray(b"[1]")}


def test_a_form_has_a_key_for_each_field():
    body, kind = form(
        ('name="a"', None, "1"),
        ('name="b"; filename="b.json"', "application/json", "[1, 2]"),
        ('name="c"; filename="c.png"', "image/png", "PNG"),
        ('name="a"', "application/json", "[3]"),
    )
    found, headers = row(body, kind)
    # Of two with one name the last counts, and a plain field has no type, whatever it says.
    assert found == {"a": bytearray(b"[3]"), "b": [1, 2], "c": bytearray(b"PNG")}
    assert headers["b"] == {"content-type": "application/json"}
    assert headers["a"] == {"content-type": ""}


def test_urlencoded_fields_are_bytes():
    kind = "application/x-www-form-urlencoded"
    assert row(b"a=1&b=%C3%A9+x&e=", kind)[0] == {
        "a": bytearray(b"1"), "b": bytearray(b"\xc3\xa9 x"), "e": bytearray(),
    }  # fmt: skip
    assert row(b"", kind)[0] == {}


def test_fields_beside_the_body_and_the_client_s_headers_win():
    found, headers = row_of(
        tuple(Request("1", {"body": "mine"}, b"x", None, {"q": "1", "body": "no"}))
    )
    assert found == {"body": bytearray(b"x"), "q": bytearray(b"1")}
    assert headers["body"] == "mine"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"x", "multipart/form-data"),
        (form(('name="a"', None, "1"))[0][:-10], form()[1]),
        (form(("", None, "1"))[0], form()[1]),
        (b"rubbish", f"multipart/form-data; boundary={BOUNDARY}"),
        (b"&".join(b"a%d=1" % n for n in range(MOST_FIELDS + 1)),
         "application/x-www-form-urlencoded"),
    ],
    ids=["no boundary", "cut", "no name", "rubbish", "many"],
)  # fmt: skip
def test_what_is_no_form_is_refused(body, kind):
    with pytest.raises(InputError, match=r"cannot be read|more than"):
        row(body, kind)


def test_a_row_that_is_made_already():
    made = {"data": object()}
    assert row_of(tuple(Request("1", {}, row=made)))[0] is made
    assert row_of(("1", {}, made))[0] is made
