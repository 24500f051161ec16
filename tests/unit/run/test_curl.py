"""-F, -H and --content-type, as curl has them."""

from __future__ import annotations

import io
import pickle
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mar_core import InputError, ReadOptions, UsageError
from mar_core.run.curl import FormField, form_input, parse_field, parse_headers

NAMES = st.text(min_size=1).filter(lambda name: "=" not in name)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@pytest.mark.parametrize(
    ("word", "path", "kind"),
    [
        ("a=@x.png", "x.png", "image/png"),
        ("a=@x.JPG", "x.JPG", "image/jpeg"),
        ("a=@x.json", "x.json", "application/octet-stream"),
        ("a=@x.json;type=application/json", "x.json", "application/json"),
        ("a=@x.json; type=application/json;charset=utf-8", "x.json", "application/json"),
        ("a=@x;filename=y.png", "x", "image/png"),
        ("a=@x;type=text/plain;filename=y.png", "x", "text/plain"),
        ('a=@"we;ird,na\\"me.txt"', 'we;ird,na"me.txt', "text/plain"),
        ('a=@"x;type=no";type=text/plain', "x;type=no", "text/plain"),
        ("a=@-", "-", "application/octet-stream"),
        ("a=@s3://b/x.png", "s3://b/x.png", "image/png"),
    ],
)
def test_files(word, path, kind):
    assert parse_field(word) == [FormField(name="a", path=path, content_type=kind)]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("a=b", "b"),
        ("a=", ""),
        ("a=b=c", "b=c"),
        ("a=b;c", "b;c"),
        ("a={};type=application/json", "{}"),
        ('a="b;type=c"', "b;type=c"),
        ('a="say \\"hi\\""', 'say "hi"'),
        ('a="b" c', '"b" c'),
    ],
)
def test_values_have_no_type_whatever_is_said(word, value):
    assert parse_field(word) == [FormField(name="a", value=value)]


def test_several_files_and_a_file_as_a_plain_field():
    assert [field.path for field in parse_field('a=@x.png,"y,z.png";type=image/png')] == [
        "x.png", "y,z.png",
    ]  # fmt: skip
    assert parse_field("a=<x.txt;type=text/plain") == [FormField(name="a", path="x.txt")]


@pytest.mark.parametrize("word", ["", "a", "=b", "@x.png"])
def test_what_is_no_field(word):
    with pytest.raises(UsageError, match="is no field"):
        parse_field(word)


@given(name=NAMES, value=st.text())
@example(name="a", value='\\";type=x')
def test_any_value_can_be_quoted(name, value):
    assert parse_field(f"{name}={quoted(value)}") == [FormField(name=name, value=value)]


@given(name=NAMES, path=st.text(min_size=1), kind=st.sampled_from(["text/plain", "a/b"]))
@example(name="a", path='x\\",;type=y', kind="a/b")
def test_any_path_can_be_quoted(name, path, kind):
    (field,) = parse_field(f"{name}=@{quoted(path)};type={kind}")
    assert (field.name, field.path, field.content_type) == (name, path, kind)


@given(st.text())
def test_any_word_is_fields_or_a_sentence(word):
    if word.startswith("=") or "=" not in word:
        with pytest.raises(UsageError):
            parse_field(word)
    else:
        fields = parse_field(word)
        assert {field.name for field in fields} == {word.partition("=")[0]}


def test_a_form(tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    (tmp_path / "x.txt").write_text("hi")
    fields = [
        *parse_field(f"data=@{tmp_path / 'x.txt'}"),
        *parse_field(f"data=@{tmp_path / 'x.png'}"),
        *parse_field("target=3"),
        *parse_field(f"meta=@{tmp_path / 'x.txt'};type=application/json"),
    ]
    item = pickle.loads(pickle.dumps(form_input(fields, ReadOptions(headers={"X-Id": "7"}))))
    assert item.id == "form"
    assert item.read() == {
        "data": bytearray(b"\x89PNG"), "target": bytearray(b"3"), "meta": bytearray(b"hi"),
    }  # fmt: skip
    assert item.headers == {
        "data": {"content-type": "image/png"},
        "target": {"content-type": ""},
        "meta": {"content-type": "application/json"},
        "Content-Type": "multipart/form-data",
        "explain": "False",
        "url_path": "",
        "X-Id": "7",
    }


def test_a_file_that_is_missing_fails_when_it_is_read(tmp_path):
    item = form_input(parse_field(f"a=@{tmp_path}/x"), ReadOptions())
    with pytest.raises(InputError, match="There is no"):
        item.read()


def test_standard_input_as_a_field(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    assert form_input(parse_field("a=@-"), ReadOptions()).read() == {"a": bytearray(b"abc")}


def test_headers():
    words = ["X-A: b: c", "X-B:d", "X-Empty;", "X-None:", "x-a: later"]
    assert parse_headers(words) == {
        "X-A": "b: c", "X-B": "d", "X-Empty": "", "X-None": "", "x-a": "later",
    }  # fmt: skip


@pytest.mark.parametrize("word", ["", "x", ": x", "a b: c", "a\n: c", "é: c"])
def test_what_is_no_header(word):
    with pytest.raises(UsageError, match="is no header"):
        parse_headers([word])


@given(st.text(), st.text())
def test_any_header_or_a_sentence(name, value):
    try:
        found = parse_headers([f"{name}:{value}"])
    except UsageError:
        return
    assert list(found.values()) == [f"{name}:{value}".partition(":")[2].strip()]
