"""The page in a real browser: what people see, type and hear."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import browsers
import pytest
import recorded
from PIL import Image

NASTY = 'it\'s "quoted" $HOME `id` \\n @x\nsecond line, Grüße \u2028 \U0001f600'


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server():
    with recorded.serving() as started:
        yield started


@pytest.fixture
def tab(browser, server):
    """A page of a browser in which nothing may go wrong that nobody asked for."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    problems = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
    tab.on("console", lambda entry: problems.append(entry.text) if _is_bad(entry) else None)
    server.requests.clear()
    yield tab
    context.close()
    assert problems == []


def _is_bad(entry):
    # A refusal is an answer; the browser calls it an error.
    return entry.type == "error" and "Failed to load resource" not in entry.text


def picture(colour=(255, 255, 255), side=recorded.SIDE):
    stream = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(stream, format="PNG")
    return {"name": "it's.png", "mimeType": "image/png", "buffer": stream.getvalue()}


def opened(tab, server, model):
    tab.goto(f"{server.url}#/{model}/1.0")
    tab.get_by_role("heading", name=model, level=2).wait_for()
    return tab


def asked(tab, *, file=None, text=None, json_text=None, button="Predict"):
    """Fill in a request, send it, and wait for its answer."""
    if file:
        tab.get_by_role("tab", name="Picture").click()
        tab.locator("#file").set_input_files(file)
    for name, value in (("Text", text), ("JSON", json_text)):
        if value is not None:
            tab.get_by_role("tab", name=name).click()
            tab.get_by_role("textbox", name=name).fill(value)
    tab.get_by_role("button", name=button).click()
    tab.locator("#outcome:not(:empty)").wait_for(state="attached")
    tab.locator("#predict:enabled").wait_for()
    return tab.locator("#answer")


def pixel(tab, x, y):
    """The colour of the answer's canvas at a place, in shares of its size."""
    return tab.locator("#answer canvas").evaluate(
        "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData("
        "Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data]",
        [x, y],
    )


# ── Answers as people look at them ────────────────────────────────────────────────────────────


def test_classes_are_bars_the_most_probable_first(tab, server):
    answer = asked(opened(tab, server, "classes"), file=picture())
    rows = answer.get_by_role("listitem").all_inner_texts()
    assert [row.split("\n") for row in rows] == [
        ["tabby", "46.3 %"],
        ["tiger cat", "31.3 %"],
        [recorded.HOSTILE, "0.11 %"],
    ]
    widths = [box.bounding_box()["width"] for box in answer.locator(".fill").all()]
    assert widths == sorted(widths, reverse=True)
    assert "200 OK" in tab.locator("#outcome").inner_text()


def test_one_value_is_shown_large(tab, server):
    assert asked(opened(tab, server, "digit"), file=picture()).inner_text() == "7"
    assert tab.locator("#answer .one").bounding_box()["height"] > 60


def test_boxes_lie_on_the_picture_and_are_listed(tab, server):
    answer = asked(opened(tab, server, "boxes"), file=picture())
    assert answer.get_by_role("listitem").all_inner_texts() == ["person 98 %", "cup 71 %"]
    assert pixel(tab, 0.25, 0.5) != [255, 255, 255, 255]  # the left side of the person
    assert pixel(tab, 0.5, 0.5) == [255, 255, 255, 255]  # inside of it
    assert answer.get_by_role("img").get_attribute("aria-label").startswith("The picture with 2")


def test_a_mask_lies_over_the_picture(tab, server):
    answer = asked(opened(tab, server, "mask"), file=picture())
    assert answer.get_by_role("listitem").all_inner_texts() == [
        "class 1: 50.0 %",
        "class 0: 50.0 %",
    ]
    assert pixel(tab, 0.5, 0.25) != [255, 255, 255, 255]
    assert pixel(tab, 0.5, 0.75) == [255, 255, 255, 255]
    tab.get_by_label("Strength").fill("0")
    assert pixel(tab, 0.5, 0.25) == [255, 255, 255, 255]


def test_masks_with_labels_lie_on_the_picture(tab, server):
    answer = asked(opened(tab, server, "segments"), file=picture())
    assert answer.get_by_role("listitem").all_inner_texts() == ["sky 90 %", "ground"]
    sky, ground = pixel(tab, 0.5, 0.25), pixel(tab, 0.5, 0.9)
    assert sky[0] > sky[2]  # the first colour is a red, the second a blue
    assert ground[2] > ground[0]
    assert pixel(tab, 0.5, 0.6) == [255, 255, 255, 255]


def test_an_explanation_is_a_heat_map_red_for_blue_against(tab, server):
    asked(opened(tab, server, "classes"), file=picture(), button="Explain")
    red, _, blue, _ = pixel(tab, 0.25, 0.5)
    assert red > blue
    red, _, blue, _ = pixel(tab, 0.75, 0.5)
    assert blue > red


def test_words_are_coloured_by_what_they_counted(tab, server):
    answer = asked(opened(tab, server, "words"), text="a fine bore", button="Explain")
    colours = answer.locator("mark").evaluate_all(
        "marks => marks.map(mark => [mark.textContent, getComputedStyle(mark).backgroundColor])"
    )
    assert [word for word, _ in colours] == ["a", "fine", "bore"]
    assert "214, 64, 48, 0.5" in colours[1][1]
    assert "40, 112, 200, 0.25" in colours[2][1]
    assert "fine +0.80, bore \N{MINUS SIGN}0.40" in answer.inner_text()


def test_entities_are_marked_in_the_text_that_was_sent(tab, server):
    answer = asked(opened(tab, server, "entities"), text="\U0001f600 Jane lives here")
    assert answer.locator("mark").inner_text() == "JanePER"
    assert answer.inner_text().startswith("\U0001f600 JanePER lives here")


def test_records_are_a_table(tab, server):
    answer = asked(opened(tab, server, "records"), json_text="{}")
    assert answer.get_by_role("columnheader").all_inner_texts() == ["id", "name", "tags"]
    assert answer.get_by_role("cell").all_inner_texts()[:3] == ["1", recorded.HOSTILE, '["a"]']


def test_a_record_is_a_table_of_its_fields(tab, server):
    answer = asked(opened(tab, server, "fields"), json_text="{}")
    assert answer.get_by_role("row").all_inner_texts()[2] == "total\t12.5"


def test_text_is_text(tab, server):
    answer = asked(opened(tab, server, "text"), text="go")
    assert answer.inner_text() == recorded.ANSWERS["text"]


def test_a_streamed_text_is_seen_as_it_comes(tab, server):
    opened(tab, server, "story")
    tab.get_by_role("textbox", name="Text").fill("go")
    tab.get_by_role("button", name="Predict").click()
    tab.get_by_text("Once upon").wait_for()
    assert tab.get_by_role("button", name="Stop").is_visible()
    assert "a time" not in tab.locator("#answer").inner_text()
    server.finish_story()
    # The answer's raw body, which is hidden, says the same as soon as it is whole.
    tab.get_by_role("paragraph").filter(has_text="Once upon a time.").wait_for()
    tab.get_by_role("button", name="Stop").wait_for(state="hidden")


def test_a_refusal_says_what_the_server_said(tab, server):
    answer = asked(opened(tab, server, "refusing"), text="x")
    assert answer.inner_text() == "503 InternalServerException\nPrediction failed"


def test_a_token_is_asked_for_where_one_is_needed(tab, server):
    opened(tab, server, "locked")
    assert not tab.get_by_label("Token of this server").is_visible()
    asked(tab, text="x")
    tab.get_by_label("Token of this server").fill("secret")
    assert asked(tab, text="x").inner_text() == "open"
    assert "$TOKEN" in tab.locator("#curl").inner_text()
    assert "secret" not in tab.locator("body").inner_text()


def test_the_answer_is_there_as_it_came(tab, server):
    asked(opened(tab, server, "digit"), file=picture())
    tab.get_by_text("As it came").click()
    assert tab.locator("#raw-body").inner_text() == "7\n"
    assert tab.locator("#raw-head").inner_text().startswith("HTTP 200 OK")
    with tab.expect_download() as saved:
        tab.get_by_role("link", name="Save the answer").click()
    assert saved.value.path().read_bytes() == b"7\n"


# ── The request, and the same request elsewhere ───────────────────────────────────────────────


def sent(server):
    path, headers, body = server.requests[-1]
    return path, headers.get("content-type"), body


@pytest.mark.parametrize("language", ["curl", "Python"])
@pytest.mark.parametrize(
    "given",
    [
        {"text": NASTY},
        {"text": "@/etc/hostname"},
        {"json_text": json.dumps({"a": [1, None, True, 2.5], "b": NASTY})},
        {"file": picture()},
    ],
    ids=["text", "at sign", "json", "file"],
)
def test_the_lines_send_the_same_request(tab, server, tmp_path, language, given):
    asked(opened(tab, server, "fields"), **given)
    by_page = sent(server)
    tab.get_by_role("tab", name=language).click()
    tab.get_by_role("button", name="Copy").click()
    tab.get_by_text("Copied", exact=True).first.wait_for()
    copied = tab.evaluate("navigator.clipboard.readText()")
    if "file" in given:
        (tmp_path / given["file"]["name"]).write_bytes(given["file"]["buffer"])
    words = ["sh", "-c", copied] if language == "curl" else [sys.executable, "-c", copied]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"note": "fine"' in done.stdout
    path, kind, body = sent(server)
    assert (path, kind) == by_page[:2]
    if "json_text" in given:  # Python's own spaces are another spelling of the same value
        assert json.loads(body) == json.loads(by_page[2])
    else:
        assert body == by_page[2]
    assert len(server.requests) == 2


def test_a_file_that_is_dropped_is_sent(tab, server):
    opened(tab, server, "digit")
    transfer = tab.evaluate_handle(
        "data => { const all = new DataTransfer();"
        "all.items.add(new File([new Uint8Array(data)], 'seven.png', {type: 'image/png'}));"
        "return all; }",
        list(picture()["buffer"]),
    )
    tab.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer})
    tab.locator("#answer .one").wait_for()
    assert sent(server) == ("/predictions/digit/1.0", "image/png", picture()["buffer"])
    assert tab.get_by_text("seven.png").first.is_visible()


def test_what_is_not_json_is_not_sent(tab, server):
    opened(tab, server, "records")
    asked(tab, json_text="{'a': 1}")
    assert tab.get_by_role("alert").inner_text().startswith("This is not JSON yet")
    assert tab.get_by_role("textbox", name="JSON").get_attribute("aria-invalid") == "true"
    assert server.requests == []


# ── Without a mouse, without eyes ─────────────────────────────────────────────────────────────


def test_everything_can_be_done_with_the_keyboard(tab, server):
    opened(tab, server, "classes")
    tab.evaluate("document.activeElement.blur()")
    names = []
    while len(names) < 60:
        tab.keyboard.press("Tab")
        active = "document.activeElement"
        names.append(tab.evaluate(f"{active}.id || {active}.className || {active}.tagName"))
        if names[-1] == "curl":
            break
    assert names[0] == "skip"
    wanted = ["tab-file", "file", "predict", "explain", "tab-curl", "curl"]
    places = [names.index(one) for one in wanted]
    assert places == sorted(places)


def test_tabs_move_by_arrows_and_ctrl_enter_sends(tab, server):
    opened(tab, server, "words")
    tab.get_by_role("tab", name="Picture").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.id") == "tab-text"
    tab.keyboard.press("End")
    assert tab.get_by_role("tab", name="JSON").get_attribute("aria-selected") == "true"
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Tab")
    tab.keyboard.type("hello")
    tab.keyboard.press("Control+Enter")
    tab.locator("#answer .bars").wait_for()
    assert sent(server)[2] == b"hello"


def test_every_control_has_a_name_and_the_answer_is_announced(tab, server):
    opened(tab, server, "classes")
    unnamed = tab.locator("button, input, textarea, select, a, [role=tab]").evaluate_all(
        """all => all.filter(one => !(one.textContent.trim() || one.getAttribute('aria-label')
           || one.labels?.length)).map(one => one.outerHTML)"""
    )
    assert unnamed == []
    snapshot = tab.locator("body").aria_snapshot()
    for line in (
        "banner",
        "main",
        "navigation",
        'heading "mar serve" [level=1]',
        "tablist",
        "status",
    ):
        assert line in snapshot, line
    assert tab.locator("#outcome").get_attribute("role") == "status"
    assert tab.locator("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").count() == 0


def test_numbers_go_on_and_nothing_loses_its_focus(tab, server):
    opened(tab, server, "words")
    tab.get_by_role("textbox", name="Text").fill("half a sen")
    tab.get_by_role("link", name="words").focus()
    server.counts["words"] = 1234
    tab.get_by_text("1,234", exact=True).wait_for()
    assert tab.evaluate("document.activeElement.textContent").startswith("words")
    assert tab.get_by_role("textbox", name="Text").input_value() == "half a sen"


CONTRAST = browsers.CONTRAST.read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("model", ["classes", "records", "refusing"])
def test_text_stands_out_from_its_ground(tab, server, scheme, model):
    tab.emulate_media(color_scheme=scheme)
    asked(opened(tab, server, model), json_text="{}")
    assert tab.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [320, 420, 800, 1360])
def test_nothing_is_wider_than_the_window(tab, server, width):
    tab.set_viewport_size({"width": width, "height": 800})
    asked(opened(tab, server, "boxes"), file=picture(side=900))
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_html_cannot_be_made_from_strings(browser, server):
    with browser.new_context() as context:
        tab = opened(context.new_page(), server, "classes")
        blocked = tab.evaluate(
            "() => { try { document.body.innerHTML = '<b>x</b>'; return false; }"
            "catch (error) { return error instanceof TypeError; } }"
        )
    assert blocked
