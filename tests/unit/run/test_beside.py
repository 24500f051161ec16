"""What stands beside results: previews of inputs, and what the inputs really are."""

from __future__ import annotations

import base64
import io
import pickle
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mar_core import Input, InputError, MarWarning, Outcome, RunSummary, UsageError
from mar_core.run.beside import Beside, Truth, answer_of
from mar_core.run.previews import Previewed, Previews, preview_of


def picture(size=(900, 600), mode="RGB", kind="PNG"):
    stream = io.BytesIO()
    Image.new(mode, size, 1).save(stream, kind)
    return stream.getvalue()


def opened(preview):
    return Image.open(io.BytesIO(base64.b64decode(preview["picture"])))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "PNG"), ("L", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("1", "PNG"), ("I;16", "PNG"),
     ("CMYK", "JPEG"), ("F", "TIFF"), ("P", "GIF"), ("RGB", "WEBP"), ("RGB", "BMP")],
)  # fmt: skip
def test_a_picture_of_any_kind_is_made_small(mode, kind):
    found = preview_of({"body": bytearray(picture(mode=mode, kind=kind))}, side=320)
    assert (found["width"], found["height"]) == (900, 600)
    assert opened(found).size == (320, 213)
    assert found["type"] == "image/webp"


def test_a_tiny_picture_keeps_its_pixels():
    found = preview_of({"data": picture((28, 28), "L")})
    assert opened(found).size == (28, 28)
    assert found["type"] == "image/png"


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: {"b64": text}])
def test_a_picture_in_base64(wrap):
    text = base64.b64encode(picture((100, 100))).decode()
    assert preview_of({"data": wrap(text)})["width"] == 100


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"data": "good"}, "good"),
        ({"body": b"good \xc3\xa9"}, "good é"),
        ({"body": {"a": 1, "b": b"xyz"}}, '{"a": 1, "b": "3 bytes"}'),
        ({"text": bytearray(b"x"), "n": 5}, '{"text": "1 bytes", "n": 5}'),
        ([1, 2], "[1, 2]"),
    ],
)
def test_other_requests_are_text(request_, text):
    assert preview_of(request_) == {"text": text}


@pytest.mark.parametrize("request_", [{"body": b"\0\1\2"}, {"body": b"\xff\xfe\xfd"}])
def test_bytes_that_are_nothing_to_look_at(request_):
    assert preview_of(request_) is None


def test_a_long_text_is_cut_and_says_so():
    assert preview_of({"data": "é" * 5000}) == {"text": "é" * 2000, "cut": True}
    assert preview_of({"body": "é".encode() * 5000})["cut"]


def test_a_bomb_is_only_measured():
    with warnings.catch_warnings():
        previews = Previews()
        found = previews.of({"body": picture((12000, 9000), "1")})
    assert found == {"width": 12000, "height": 9000}


@given(st.binary() | st.text() | st.dictionaries(st.text(), st.binary() | st.integers()))
def test_whatever_is_sent_can_be_previewed(request_):
    found = preview_of(request_)
    assert found is None or "text" in found or "width" in found


def test_the_first_pictures_are_larger_and_the_last_are_none(monkeypatch):
    monkeypatch.setattr("mar_core.run.previews.LARGE_COUNT", 1)
    monkeypatch.setattr("mar_core.run.previews.SMALL_COUNT", 2)
    previews = Previews()
    sizes = [previews.of({"body": picture()}) for _ in range(3)]
    assert [opened(one).width if "picture" in one else 0 for one in sizes] == [320, 128, 0]
    assert opened(Previews(begun=1).of({"body": picture()})).width == 128


READ = []


def read():
    READ.append(1)
    return {"data": "text"}


def refuse():
    raise InputError("no")


def test_an_input_is_read_once_here_and_again_only_where_it_was_read_elsewhere():
    READ.clear()
    watched = Previewed(read, Previews())
    assert watched() == {"data": "text"}
    assert watched.preview() == {"text": "text"}
    assert len(READ) == 1
    far = Previewed(read, Previews())
    assert pickle.loads(pickle.dumps(far)) is read
    assert far.preview() == {"text": "text"}
    broken = Previewed(refuse, Previews())
    with pytest.raises(InputError):
        broken()
    assert broken.preview() is None


# ── What the inputs really are ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("photos/cat/1.png", "cat"), ("x.zip!a/dog/1.png", "dog"), ("1.png", None),
        ("./cat/../dog/1.png", "dog"), ("x.tar!1.png", None),
    ],
)  # fmt: skip
def test_the_truth_of_a_folder(name, label):
    assert Truth("folder").of(name, {}) == label


@pytest.mark.parametrize(
    "table",
    [
        "file,label\n{rows}", "label,file\n{swapped}", "id,class\n{rows}", "a,b\n{rows}",
        "\N{BYTE ORDER MARK}Filename,Target,note\n{wide}",
    ],
)  # fmt: skip
def test_the_truth_of_a_table(tmp_path, table):
    pairs = [("1.png", "cat"), ("photos/2.png", "dog"), ("3", "cow"), ("t.csv:4", "ox")]
    text = table.format(
        rows="".join(f"{one},{two}\n" for one, two in pairs),
        swapped="".join(f"{two},{one}\n" for one, two in pairs),
        wide="".join(f"{one},{two},x\n" for one, two in pairs),
    )
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    truth = Truth(str(path))
    names = ["photos/1.png", "./photos/2.png", "x.zip!a/3.jpg", "t.csv:4", "other.png"]
    assert [truth.of(name, {}) for name in names] == ["cat", "dog", "cow", "ox", None]


def test_the_truth_of_a_column():
    truth = Truth("species")
    assert truth.column == "species"
    assert [truth.of("x", kept) for kept in ({"species": 3}, {"species": ""}, {})] == [
        "3", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), ("", "has no column"), ("a\n1\n", "has 1 column."),
     (b"a,b\n\xff,x\n", "no sound table")],
)  # fmt: skip
def test_a_table_that_is_none(tmp_path, content, says):
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=says):
        Truth(str(path))


@pytest.mark.parametrize(
    ("result", "label"),
    [({"a": 0.25, "b": 0.75}, "b"), ({"a": 0.25}, "a"), (7, "7"), ("seven\n", "seven"),
     (True, None), (0.5, None), ({"a": 3}, None), ([], None), ("", None)],
)  # fmt: skip
def test_the_label_that_a_result_gives(result, label):
    assert answer_of(result) == label


def test_what_goes_beside_a_row_is_handed_out_once():
    beside = Beside(keep=("n", "truth"), truth=Truth("t"), previews=True, done=0)
    item = beside.watched(Input(id="a", read=read, kept={"n": 1, "t": "cat", "other": 2}))
    item.read()
    found = beside.take("a")
    assert found == {"a": {"input": {"n": 1, "truth": "cat"}, "preview": {"text": "text"}}}
    assert beside.take("a") == {}
    summary = RunSummary(model="m")
    for result in ("cat", "dog"):
        beside.judge(summary, Outcome(index=0, id="a", result=result), found)
    assert (summary.right, summary.judged) == (1, 2)
    beside.watched(Input(id="b", read=read))
    with pytest.warns(MarWarning, match="1 of 2 inputs without a true label"):
        beside.close()
