"""Files, folders, patterns, lists, and what is not there."""

from __future__ import annotations

import os
import pickle

import pytest

from mar_core import Input, InputError, ReadOptions, hookimpl
from mar_core.plugins import Plugins, new_manager
from mar_core.run import readers as ours
from mar_core.run.inputs import AS_TEXT, expand
from mar_core.runtime.requests import decode, guess_type


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_a_file_is_the_body_of_one_request(here, inputs):
    (here / "x.png").write_bytes(b"\x89PNG")
    (item,) = inputs("x.png")
    assert item.id == "x.png"
    assert item.read() == {"body": bytearray(b"\x89PNG")}
    assert item.headers == {"body": {"content-type": ""}, "explain": "False", "url_path": ""}
    assert item.size == 4
    assert pickle.loads(pickle.dumps(item)).read() == item.read()


def test_reading_waits_until_the_input_is_read(here, inputs):
    (here / "x.txt").write_text("then")
    (item,) = inputs("x.txt")
    (here / "x.txt").write_text("now")
    assert item.read() == {"body": bytearray(b"now")}
    (here / "x.txt").unlink()
    with pytest.raises(InputError, match=r"There is no x\.txt\."):
        item.read()


@pytest.mark.parametrize(
    ("name", "content", "value"),
    [
        ("a.txt", b"caf\xc3\xa9", bytearray(b"caf\xc3\xa9")),
        ("a.html", b"<p>", bytearray(b"<p>")),
        ("a.json", b'{"data": 1}', {"data": 1}),
        ("a.bin", b"abc", bytearray(b"abc")),
        ("noending", b"abc", bytearray(b"abc")),
        ("a.txt.gz", b"abc", bytearray(b"abc")),
        ("a.webp", b"abc", bytearray(b"abc")),
    ],
)
def test_a_file_is_bytes_unless_it_is_json(here, requests, name, content, value):
    (here / name).write_bytes(content)
    assert requests(name) == [(name, {"body": value})]


def test_a_content_type_overrides_the_ending_and_keeps_the_file_whole(here, requests, inputs):
    (here / "rows.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    assert requests("rows.jsonl", content_type="text/plain; charset=utf-8") == [
        ("rows.jsonl", {"body": '{"a": 1}\n{"a": 2}\n'})
    ]
    (item,) = inputs("rows.jsonl", content_type="text/plain; charset=utf-8")
    assert item.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert item.headers["body"] == {"content-type": "text/plain"}
    (here / "one.json").write_text("[1, 2]")
    assert requests("one.json", content_type="application/json") == [("one.json", {"body": [1, 2]})]


def test_a_form_as_curl_sends_it_becomes_fields(here, requests):
    (here / "f").write_text("a=1&b=%20x&c=\n")
    assert requests("f", content_type="application/x-www-form-urlencoded") == [
        ("f", {"a": bytearray(b"1"), "b": bytearray(b" x"), "c": bytearray(b"")})
    ]
    ((_, sentence),) = requests("f", content_type="multipart/form-data; boundary=x")
    assert sentence.startswith("The form cannot be read: ")
    part = 'Content-Disposition: form-data; name="a"; filename="f"\r\nContent-Type: text/plain'
    (here / "f").write_bytes(f"--x\r\n{part}\r\n\r\nhi\r\n--x--\r\n".encode())
    ((_, row),) = requests("f", content_type="multipart/form-data; boundary=x")
    assert row == {"a": "hi"}


def test_headers_and_the_field_can_be_chosen(here, inputs):
    (here / "x.txt").write_text("hi")
    (item,) = inputs("x.txt", field_name="data", headers={"X-A": "1", "content-type": "own"})
    assert item.read() == {"data": bytearray(b"hi")}
    assert item.headers == {
        "data": {"content-type": ""}, "explain": "False", "url_path": "", "X-A": "1",
        "content-type": "own",
    }  # fmt: skip


def test_a_folder_gives_its_files_in_one_order(here, inputs):
    fill(
        here,
        "d/b.txt",
        "d/a/2.txt",
        "d/a/10.txt",
        "d/c.png",
        "d/.hidden",
        "d/.git/x",
        "d/__MACOSX/y",
    )
    names = ["d/a/10.txt", "d/a/2.txt", "d/b.txt", "d/c.png"]
    assert [item.id for item in inputs("d")] == names
    assert [item.id for item in inputs(str(here / "d"))] == [str(here / name) for name in names]
    assert [item.id for item in inputs("./d/")] == [f"./{name}" for name in names]


@pytest.mark.parametrize(
    ("include", "names"),
    [
        (("*.txt",), ["d/a/1.txt", "d/b.txt"]),
        (("*.png", "a/*"), ["d/a/1.txt", "d/c.png"]),
        (("b.*",), ["d/b.txt"]),
    ],
)
def test_include_takes_what_fits(here, inputs, include, names):
    fill(here, "d/a/1.txt", "d/b.txt", "d/c.png")
    assert [item.id for item in inputs("d", include=include)] == names


def test_links_are_followed_but_not_in_circles(here, inputs):
    fill(here, "d/x.txt", "e/y.txt")
    (here / "d" / "e").symlink_to(here / "e")
    (here / "d" / "loop").symlink_to(here / "d")
    (here / "d" / "gone").symlink_to(here / "nowhere")
    assert [item.id for item in inputs("d")] == ["d/e/y.txt", "d/gone", "d/x.txt"]


def test_patterns(here, inputs):
    fill(here, "p/1.txt", "p/2.txt", "p/q/3.txt", "p/[1].txt", "p/r.png/4.txt")
    assert [item.id for item in inputs("p/?.txt")] == ["p/1.txt", "p/2.txt"]
    assert [item.id for item in inputs("p/**/3.txt")] == ["p/q/3.txt"]
    assert [item.id for item in inputs("p/[1].txt")] == ["p/[1].txt"], "a name that is there wins"
    assert [item.id for item in inputs("p/*.png")] == ["p/r.png/4.txt"], "a folder that fits"


def test_a_list_names_sources_of_any_kind(here, inputs):
    fill(here, "d/1.txt", "d/2.txt", "x y.txt")
    (here / "rows.jsonl").write_text("1\n2\n")
    (here / "list.txt").write_text("x y.txt\r\n\nd\nrows.jsonl\ngone.txt\n@more.txt\n")
    (here / "more.txt").write_text("d/*.txt\n@list.txt\n")
    items = inputs("@list.txt")
    assert [item.id for item in items] == [
        "x y.txt", "d/1.txt", "d/2.txt", "rows.jsonl:1", "rows.jsonl:2", "gone.txt",
        "d/1.txt#2", "d/2.txt#2", "@list.txt",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"There is no gone\.txt"):
        items[5].read()
    with pytest.raises(InputError, match="names itself"):
        items[-1].read()


def test_a_file_that_begins_with_at_is_a_file(here, requests):
    (here / "@x.txt").write_text("hi")
    assert requests("@x.txt") == [("@x.txt", {"body": bytearray(b"hi")})]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("gone.png", "There is no gone.png."),
        ("gone.jsonl", "There is no gone.jsonl."),
        ("@gone.txt", "There is no gone.txt."),
        ("gone/*.png", "No file fits gone/*.png."),
        ("empty", "The folder empty holds no file."),
        ("full", "The folder full holds no file that fits *.png or *.jpg."),
        ("a\x1b\x07b", r"There is no a\x1b\x07b."),
        ("a\0b.txt", r"There is no a\x00b.txt."),
        ("@a\0b.txt", r"There is no a\x00b.txt."),
        ("some text", f"There is no file 'some text'. {AS_TEXT}"),
        ("text", f"There is no file 'text'. {AS_TEXT}"),
        ("is it this/or that?", f"No file fits is it this/or that?. {AS_TEXT}"),
    ],
)
def test_what_is_not_there_costs_one_row(here, requests, source, sentence):
    (here / "empty" / "inner").mkdir(parents=True)
    fill(here, "full/x.txt", "good.txt")
    include = ("*.png", "*.jpg") if source == "full" else ()
    found = requests(source, "good.txt", include=include)
    assert found == [(source, sentence), ("good.txt", {"body": bytearray(b"good.txt")})]


@pytest.fixture
def nobody():
    """Reads as a user who is not root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_a_file_that_may_not_be_read(here, requests, request):
    fill(here, "x.txt")
    (here / "x.txt").chmod(0)
    request.getfixturevalue("nobody")
    assert requests("x.txt") == [("x.txt", "x.txt may not be read by this user.")]


def test_every_id_is_there_once(here, inputs):
    fill(here, "d/x.txt")
    (here / "r.jsonl").write_text("1\n2\n")
    ids = [item.id for item in inputs("d", "d/*", "d/x.txt", "r.jsonl", "r.jsonl", "no", "no")]
    assert len(set(ids)) == len(ids)
    assert ids[:3] == ["d/x.txt", "d/x.txt#2", "d/x.txt#3"]
    assert ids == [
        item.id for item in inputs("d", "d/*", "d/x.txt", "r.jsonl", "r.jsonl", "no", "no")
    ]


def test_a_name_that_is_not_utf8(here, requests):
    name = os.fsdecode(b"caf\xe9.txt")
    (here / name).write_bytes(b"hi")
    assert requests(name) == [(name, {"body": bytearray(b"hi")})]


def test_expanding_is_lazy(here, readers):
    fill(here, "x.txt")
    sources = iter(["x.txt", None])
    items = expand(sources, ReadOptions(), readers)
    assert next(items).id == "x.txt"


class Mine:
    name = "mine"

    def accepts(self, source):
        return source.startswith("mine:")

    def read(self, source, options):
        yield Input(id=source, read=dict)
        raise ZeroDivisionError("oh")


def test_a_reader_that_breaks_costs_one_row(readers):
    items = list(expand(["mine:1"], ReadOptions(), [Mine(), *readers]))
    assert [item.id for item in items] == ["mine:1", "mine:1"]
    with pytest.raises(InputError, match="'mine' failed at mine:1: ZeroDivisionError: oh"):
        items[1].read()


def test_a_plugin_that_breaks_leaves_the_others(readers, caplog):
    class Half:
        @hookimpl
        def mar_register_readers(self, register):
            register(Mine())
            raise ValueError("no")

    plugins = Plugins(new_manager())
    plugins.register(ours, "mar-readers")
    plugins.register(Half(), "half")
    found = plugins.readers()
    assert [reader.name for reader in found] == ["mine", *(reader.name for reader in readers)]
    assert "The plugin half failed in mar_register_readers: ValueError: no." in caplog.text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a/b.PNG", "image/png"),
        ("x.jpeg", "image/jpeg"),
        ("x.tar.gz", "application/octet-stream"),
        ("s3://b/x.wav", "audio/wav"),
        ("x", "application/octet-stream"),
        ("x.csv", "text/csv"),
    ],
)
def test_types_do_not_depend_on_the_machine(name, kind):
    assert guess_type(name) == kind


def test_json_that_is_not_json_stays_bytes(caplog):
    assert decode(b"{", "application/json") == bytearray(b"{")
    assert "the handler gets the bytes" in caplog.text
    assert decode(b"1", "Application/JSON") == bytearray(b"1"), "TorchServe looks at the case"


class Odd:
    name = "odd"

    def __init__(self, *items):
        self.items = items

    def accepts(self, source):
        return True

    def read(self, source, options):
        yield from self.items


class Asked(Odd):
    def accepts(self, source):
        raise KeyError(source)


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        (Odd("nope"), "it gives str, which is not a sound Input"),
        (Odd(Input(id=5, read=dict)), "which is not a sound Input"),
        (Odd(Input(id="1", read="text")), "which is not a sound Input"),
        (Asked(), "The reader 'odd' failed at x.odd: KeyError"),
    ],
)
def test_a_readers_fault_costs_one_row_and_names_it(reader, words):
    (item,) = expand(["x.odd"], ReadOptions(), [reader])
    with pytest.raises(InputError, match=words):
        item.read()
