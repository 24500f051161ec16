"""The report as a file: rows that are data and nothing else, small, and taken up again."""

from __future__ import annotations

import base64
import html.parser
import io
import json
import re
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mar_core import Failure, Outcome, RunSummary, WriteOptions
from mar_core.run.report.writer import ReportWriter, begin_page, compact
from mar_core.run.writers import open_writer

HOSTILE = "</script><script>alert(1)</script><!-- ]]> &lt; \u2028 \ud800 \"'\\"
FAILED = Failure(stage="inference", type="ValueError", message=HOSTILE)


class Elements(html.parser.HTMLParser):
    """The page as a browser reads it: the texts of its scripts, and the names of all elements."""

    def __init__(self, text):
        super().__init__()
        self.found, self.names, self._open = [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self._open = dict(attrs).get("class") if tag == "script" else None
        if self._open:
            self.found.append([self._open, ""])

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open:
            self.found[-1][1] += data


def rows_in(path):
    found = Elements(path.read_text(encoding="utf-8")).found
    return [json.loads(text) for kind, text in found if kind == "row"]


def write(path, *outcomes, beside=None, finished=True, **more):
    writer = open_writer(path, **more)
    writer.write(outcomes, beside)
    writer.close(finished=finished)
    return writer


def outcome(number, result=None, **more):
    return Outcome(index=number, id=f"r:{number}", result=result, **more)


TEXT = st.text() | st.sampled_from([HOSTILE, "</script", "<!--<script>", "]]>"])


@settings(max_examples=60, deadline=None)
@given(name=TEXT, value=st.dictionaries(TEXT, TEXT | st.floats(0, 1), max_size=3))
def test_whatever_comes_is_data(tmp_path_factory, name, value):
    path = tmp_path_factory.mktemp("any") / "out.html"
    row = Outcome(index=0, id=name, result=value)
    beside = {name: {"input": {"truth": name}, "preview": {"text": name}}}
    write(path, row, row, beside=beside)
    page = Elements(path.read_text(encoding="utf-8"))
    plain = Elements(begin_page().decode())
    assert page.names == [*plain.names, "script", "script", "script"]
    for found in rows_in(path):
        assert (found["id"], found["result"], found["input"]) == (name, value, {"truth": name})


def test_the_policy_allows_the_page_alone():
    page = begin_page().decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert page.index(policy) < page.index("<style") < page.index("<script")
    assert not re.search(r"^(import|export) ", page, re.MULTILINE)
    for line in page.splitlines():
        left = line.replace("http://www.w3.org/2000/svg", "")
        assert "//" not in left.partition("// ")[0] or left.lstrip().startswith("//"), line


@pytest.mark.parametrize("left", [0, 1, 0.5, -1])
def test_a_run_is_resumed_where_it_was_cut_off(tmp_path, left):
    path = tmp_path / "out.html"
    summary = RunSummary(model="m")
    write(path, outcome(0, failure=FAILED), outcome(1, 1), finished=False, digest="d",
          summary=summary)  # fmt: skip
    whole = path.read_bytes()
    start = whole.rindex(b'<script type="application/json" class="row">')
    end = whole.index(b"\n", start) + 1
    cut = end - 1 if left == -1 else start + int(left * (end - start) if left == 0.5 else left)
    path.write_bytes(whole[:cut])
    writer = open_writer(path, resume=True, digest="d", summary=summary)
    assert (len(writer.done), writer.failed_before) == (1, 1)
    writer.write([outcome(1, 1), outcome(2, "x")])
    writer.close()
    assert [row["id"] for row in rows_in(path)] == ["r:0", "r:1", "r:2"]
    assert path.read_bytes().startswith(begin_page())
    assert path.read_bytes().count(b"<!doctype") == 1


def test_a_note_that_was_cut_off_costs_no_row(tmp_path):
    path = tmp_path / "out.html"
    write(path, outcome(0, 1), finished=False, digest="d", summary=RunSummary(model="m"))
    path.write_bytes(path.read_bytes()[:-9])
    with open_writer(path, resume=True, digest="d") as writer:
        assert len(writer.done) == 1
    assert path.read_bytes().endswith(b"</script>\n")


def test_a_page_that_was_cut_off_begins_afresh(tmp_path):
    path = tmp_path / "out.html"
    write(path, outcome(0, 1), finished=False, digest="d")
    path.write_bytes(path.read_bytes()[:5000])
    write(path, outcome(0, 1), resume=True, digest="d")
    assert path.read_bytes().startswith(begin_page())
    assert len(rows_in(path)) == 1


def test_what_the_run_comes_to_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr("mar_core.run.writers.files.NOTE_SECONDS", -1.0)
    path = tmp_path / "out.html"
    summary = RunSummary(model=HOSTILE, stage_seconds={"read": 0.5})
    writer = open_writer(path, summary=summary)
    writer.write([outcome(0, 1)])
    noted = [json.loads(t) for kind, t in Elements(path.read_text("utf-8")).found if kind == "note"]
    assert noted[0]["asked"]["explain"] is False
    assert (noted[-1]["run"]["model"], noted[-1]["run"]["stages"]) == (HOSTILE, {"read": 0.5})
    assert not noted[-1]["run"]["finished"]
    summary.finished = True
    writer.close()
    noted = [json.loads(t) for kind, t in Elements(path.read_text("utf-8")).found if kind == "note"]
    assert noted[-1]["run"]["finished"]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (b"<p>\n", {}),
        (b"<p>", None),
        (b'<script type="application/json" class="row">{"id": "a"}</script>\n', {"id": "a"}),
        (b'<script type="application/json" class="row">{"id": 5}</script>\n', None),
        (b'<script type="application/json" class="row">{"id": "a"}\n', None),
    ],
)
def test_lines(line, row):
    assert ReportWriter().parse(line) == row


# ── Small enough for a page ───────────────────────────────────────────────────────────────────


def small(result, *, explain=False):
    return compact({"id": "x", "result": result}, explain=explain)


def unpacked(grid):
    kind = "int8" if grid["signed"] else "uint8"
    content = zlib.decompress(base64.b64decode(grid["data"]))
    return np.frombuffer(content, kind).reshape(grid["height"], grid["width"])


@pytest.mark.parametrize(
    ("result", "label", "score"),
    [
        ({"dog": 0.25, "cat": 0.75}, "cat", 0.75),
        ({"cat": 0.75}, "cat", 0.75),
        ([{"cat": [1, 2, 3, 4], "score": 0.5}, {"dog": [1, 2, 3, 4], "score": 0.25},
          {"cat": [1, 2, 3, 4], "score": 0.75}], "2 cat, dog", 0.25),
        (7, "7", None),
        ("positive", "positive", None),
        ({"value": 3}, None, None),
        (None, None, None),
    ],
)  # fmt: skip
def test_the_answer_and_how_sure_it_is(result, label, score):
    found = small(result)
    assert (found.get("label"), found.get("score")) == (label, score)


def test_a_mask_of_classes_and_shares():
    mask = np.zeros((224, 200, 2))
    mask[:100, :50, 0] = 12
    mask[..., 1] = 0.5
    found = small(mask.tolist())
    assert "result" not in found
    assert (unpacked(found["grid"]) == mask[..., 0]).all()
    assert len(json.dumps(found)) < 1000


def test_a_heat_map_is_a_share_of_the_strongest():
    heat = np.zeros((3, 32, 40))
    heat[:, :16], heat[:, 16:] = 2.0, -1.0
    for given_map in (heat, heat.transpose(1, 2, 0), heat.sum(0)):
        grid = small(given_map.tolist(), explain=True)["grid"]
        assert (unpacked(grid)[0, 0], unpacked(grid)[31, 0]) == (127, -64)


def test_a_large_grid_is_made_smaller():
    grid = small(np.ones((1000, 600)).tolist())["grid"]
    assert (grid["height"], grid["width"]) == (250, 150)


@pytest.mark.parametrize("result", [[[1.0, 2.0]] * 9, [[1, 2], [3]], [["NaN"] * 9] * 9, [1] * 99])
def test_other_lists_are_no_grids(result):
    assert "grid" not in small(result)


def test_what_is_too_long_is_cut():
    found = small({"text": "x" * 100_000})["result"]
    assert (len(found["cut"]), found["length"]) == (2000, 100_012)
    numbers = small({"a": [0.123456789] * 1800, "b": "x"})["result"]
    assert numbers["a"][0] == 0.1235


def picture(side, mode="RGB"):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3), "uint8")
    Image.fromarray(noise).convert(mode).save(stream, "PNG")
    return stream.getvalue()


def test_pictures_among_results_are_made_small():
    large = base64.b64encode(picture(600)).decode()
    found = small({"heatmap": {"base64": large}, "attributions": [1.0] * 9999, "target": 3})
    assert set(found["result"]) == {"heatmap", "target"}
    assert len(found["result"]["heatmap"]["base64"]) < len(large) / 4
    assert small({"base64": "bm8gcGljdHVyZQ=="})["result"] == {"base64": "bm8gcGljdHVyZQ=="}


def test_the_words_of_the_run_are_in_the_page(tmp_path):
    path = tmp_path / "out.html"
    write(path, options=WriteOptions(explain=True, keep=("a",)))
    notes = [t for kind, t in Elements(path.read_text("utf-8")).found if kind == "note"]
    assert json.loads(notes[0]) == {"asked": {"explain": True, "top": None, "keep": ["a"]}}
