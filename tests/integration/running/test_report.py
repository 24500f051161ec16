"""``--output report.html`` in a real browser: what people see of a run, and what no row can do."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import time

import browsers
import numpy as np
import pytest
from packs import COMMAND, mar
from PIL import Image

from mar_core import Failure, Outcome, RunSummary, WriteOptions
from mar_core.run.previews import preview_of
from mar_core.run.writers import open_writer

HOSTILE = "</script><img src=x onerror=document.title='hacked'>"
HANDLER = f"""
import io, time
from PIL import Image

def handle(data, context):
    return None if data is None else [answer(bytes(row.get("data") or row["body"])) for row in data]

def answer(content):
    red, green, blue = Image.open(io.BytesIO(content)).convert("RGB").getpixel((0, 0))
    if green == 99:
        time.sleep(60)
    if blue == 255:
        raise ValueError("blue is no animal {HOSTILE}")
    share = red / 255
    return {{"cat": share, "dog": 1 - share, "{HOSTILE}": 0.0}}
"""
# Folder, name, red, green, blue.
PICTURES = [
    ("cat", "sure", 255, 0, 0), ("cat", "doubtful", 140, 0, 0), ("cat", "broken", 0, 0, 255),
    ("dog", "sure", 10, 0, 0), ("dog", "wrong", 230, 0, 0),
    ("dog", HOSTILE.replace("/", ""), 60, 0, 0),
]  # fmt: skip


def picture(red, green, blue, size=(120, 90)):
    stream = io.BytesIO()
    Image.new("RGB", size, (red, green, blue)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    (folder / "pets.py").write_text(HANDLER, encoding="utf-8")
    for label, name, *colour in PICTURES:
        place = folder / "photos" / label
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.png").write_bytes(picture(*colour))
    words = ("--handler", "pets.py", "photos", "--truth", "folder", "-o", "pets.html")
    done = mar("run", *words, cwd=folder, code=1)
    assert "right: 4 of 5, 80.0%" in done.stderr
    return folder


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as started:
        yield started


@pytest.fixture
def tab(browser):
    """A page in which nothing may go wrong, and from which nothing may be asked."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    tab = context.new_page()
    problems = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda entry: problems.append(entry.text) if _is_bad(entry) else None)
    tab.on(
        "request", lambda request: problems.append(request.url) if _is_elsewhere(request) else None
    )
    yield tab
    context.close()
    assert problems == []


def _is_bad(entry):
    return entry.type == "error"  # these tests read pixels often, which is warned of


def _is_elsewhere(request):
    return not request.url.startswith(("file:", "blob:", "data:"))


def opened(tab, path):
    tab.goto(path.as_uri())
    tab.locator("#found:not(:empty)").wait_for()
    return tab


def names(tab):
    return [name.rpartition("/")[2] for name in tab.locator("#list .name").all_inner_texts()]


def written(path, results, *, request=None, explain=False, summary=None):
    """A report of results of one and the same input."""
    beside = {"preview": preview_of(request)} if request is not None else {}
    with open_writer(path, options=WriteOptions(explain=explain), summary=summary) as writer:
        for number, result in enumerate(results):
            name = f"in:{number}"
            failed = isinstance(result, Failure)
            outcome = Outcome(index=number, id=name, result=None if failed else result,
                              failure=result if failed else None)  # fmt: skip
            writer.write([outcome], {name: beside})
    return path


def test_the_failed_come_first_then_the_doubtful(tab, folder):
    opened(tab, folder / "pets.html")
    shown = names(tab)
    assert shown[:2] == ["broken.png", "doubtful.png"]
    assert shown[-2:] == ["sure.png", "sure.png"]
    assert tab.locator(".card.failed").inner_text().startswith("photos/cat/broken.png\n\ninference")
    assert tab.locator(".card.wrong .not").inner_text() == "is dog"
    tab.locator("#order").select_option(label="as they ran")
    assert names(tab)[0] == "broken.png"
    tab.locator("#order").select_option(label="surest first")
    assert names(tab)[0] == "sure.png"
    assert names(tab)[-1] == "broken.png"


def test_the_summary(tab, folder):
    opened(tab, folder / "pets.html")
    figures = tab.locator("#figures > div").all_inner_texts()
    assert figures[0] == "Inputs\n6"
    assert figures[1] == "Failed\n1 16.7 %"
    assert figures[4] == "Right\n80.0 % 4 of 5"
    assert tab.locator("#ended").inner_text() == "finished"
    assert tab.get_by_role("heading", level=1).inner_text() == "pets\nmar run"
    assert "inference" in tab.locator("#stages").inner_text()
    kind = tab.get_by_role("button", name="1 × inference/ValueError")
    kind.click()
    assert names(tab) == ["broken.png"]
    tab.get_by_role("button", name="Show all").click()
    assert len(names(tab)) == 6


def test_right_and_wrong(tab, folder):
    opened(tab, folder / "pets.html")
    rows = tab.locator("#classes tbody tr").all_inner_texts()
    assert [row.split("\t") for row in rows] == [
        ["dog", "3", "66.7 %", "100 %"], ["cat", "2", "100 %", "66.7 %"],
    ]  # fmt: skip
    tab.get_by_role("button", name="1 of dog answered as cat").click()
    assert names(tab) == ["wrong.png"]
    tab.locator("#show").select_option("right")
    assert tab.locator("#list").inner_text() == "No input is like that."
    tab.get_by_role("button", name="Show all").click()
    tab.locator("#show").select_option("wrong")
    assert names(tab) == ["wrong.png"]


def test_search_and_filter(tab, folder):
    opened(tab, folder / "pets.html")
    tab.get_by_role("searchbox").fill("DOG sure")
    tab.get_by_text("1 input", exact=True).wait_for()
    assert names(tab) == ["sure.png"]
    tab.get_by_role("searchbox").fill("blue is no animal")
    tab.locator(".card.failed").wait_for()
    tab.get_by_text("1 input", exact=True).wait_for()
    tab.get_by_role("searchbox").fill("")
    tab.get_by_text("6 inputs", exact=True).wait_for()
    tab.locator("#label").select_option("cat")
    assert sorted(names(tab)) == ["doubtful.png", "sure.png", "wrong.png"]
    tab.get_by_role("button", name="Table").click()
    assert tab.get_by_role("table").last.get_by_role("row").count() == 4


def test_nothing_that_a_row_says_becomes_code(tab, folder):
    opened(tab, folder / "pets.html")
    title = tab.title()
    for number in range(6):
        tab.locator("#list .name").nth(number).click()
        tab.locator("#details-body .table").first.wait_for()
        tab.get_by_role("button", name="Close").click()
    assert tab.title() == title == "pets · mar run"
    assert tab.locator("img[src='x']").count() == 0
    assert tab.locator("#failures").inner_text().endswith("in answer)")
    assert HOSTILE in tab.locator("#failures").inner_text()


def test_html_cannot_be_made_from_strings(browser, folder):
    with browser.new_context() as context:
        tab = opened(context.new_page(), folder / "pets.html")
        blocked = tab.evaluate(
            "() => { try { document.body.innerHTML = '<b>x</b>'; return false; }"
            "catch (error) { return error instanceof TypeError; } }"
        )
    assert blocked


def test_one_input_in_full_without_a_mouse(tab, folder):
    opened(tab, folder / "pets.html")
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "words"
    tab.locator("#list .name").nth(1).focus()
    tab.keyboard.press("Enter")
    dialog = tab.get_by_role("dialog")
    assert dialog.get_by_role("heading").inner_text() == "photos/cat/doubtful.png"
    dialog.locator("details").wait_for()
    bars = dialog.get_by_role("listitem").all_inner_texts()
    assert bars[:2] == ["cat\n54.9 %", "dog\n45.1 %"]
    assert "120 × 90 pixels" in dialog.inner_text()
    tab.keyboard.press("ArrowLeft")
    dialog.get_by_text("ValueError in inference").wait_for()
    assert dialog.get_by_role("button", name="Previous input").is_disabled()
    tab.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    # Not wait_for_function: it polls with eval, which the page's own policy refuses.
    tab.locator("#list .name:focus", has_text="photos/cat/broken.png").wait_for()


# ── Results as people look at them ────────────────────────────────────────────────────────────


def pixel(tab, x, y):
    return tab.locator("#details canvas").evaluate(
        "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData("
        "Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data]",
        [x, y],
    )


def shown(tab, path):
    opened(tab, path).locator("#list .name").first.click()
    tab.locator("#details-body > *").first.wait_for()
    return tab.locator("#details-body")


WHITE = [255, 255, 255, 255]
PHOTO = {"body": picture(255, 255, 255, size=(1000, 600))}


def test_boxes_lie_where_they_were_in_the_original(tab, tmp_path):
    found = [{"person": [250.0, 60.0, 750.0, 540.0], "score": 0.75}]
    body = shown(tab, written(tmp_path / "b.html", [found], request=PHOTO))
    body.get_by_text("person 75 %").wait_for()
    assert pixel(tab, 0.25, 0.5) != WHITE
    assert pixel(tab, 0.5, 0.5) == WHITE
    assert tab.locator(".card canvas").count() == 1


def test_a_mask_and_a_heat_map_lie_on_the_picture(tab, tmp_path):
    mask = np.zeros((60, 100, 2))
    mask[:30, :, 0] = 1
    body = shown(tab, written(tmp_path / "m.html", [mask.tolist()], request=PHOTO))
    body.get_by_text("class 1: 50.0 %").wait_for()
    assert pixel(tab, 0.5, 0.25) != WHITE
    assert pixel(tab, 0.5, 0.75) == WHITE
    heat = np.ones((3, 60, 100))
    heat[:, :, 50:] = -1
    path = written(tmp_path / "h.html", [heat.tolist()], request=PHOTO, explain=True)
    shown(tab, path).get_by_text("spoke for it").wait_for()
    red, _, blue, _ = pixel(tab, 0.25, 0.5)
    assert red > blue
    red, _, blue, _ = pixel(tab, 0.75, 0.5)
    assert blue > red


def test_a_picture_that_was_answered_lies_on_the_one_that_was_sent(tab, tmp_path):
    answer = {"heatmap": picture(255, 0, 0), "target": 3}
    body = shown(tab, written(tmp_path / "p.html", [answer], request=PHOTO, explain=True))
    assert body.get_by_role("cell").all_inner_texts()[0] == "3"
    assert pixel(tab, 0.5, 0.5)[1] < 200


def test_texts_are_shown_with_what_was_found_in_them(tab, tmp_path):
    words = {"words": ["fine", HOSTILE], "importances": [0.5, -0.25], "target": 1}
    spans = [{"entity_group": "PER", "score": 0.5, "word": "Jane", "start": 0, "end": 4}]
    path = written(tmp_path / "t.html", [words, spans], request={"data": "Jane is fine"})
    opened(tab, path)
    assert tab.get_by_role("button", name="Table").get_attribute("aria-pressed") == "true"
    tab.locator("td .entity").wait_for()
    assert sorted(tab.locator("td mark").all_inner_texts()) == sorted(["JanePER", "fine", HOSTILE])
    assert tab.locator(".sent").first.inner_text() == "Jane is fine"


def test_any_other_result_is_there(tab, tmp_path):
    results = [{"a": 1, "b": [HOSTILE]}, [1, 2, 3], None, "text", 5, "x" * 99_999, Failure(
        stage="read", type="InputError", message="There is no such file.", code=400)]  # fmt: skip
    path = written(tmp_path / "o.html", results)
    opened(tab, path)
    for number in range(len(results)):
        tab.locator("#list .name").nth(number).click()
        tab.locator("#details-body details").wait_for()
        tab.keyboard.press("Escape")
    assert tab.get_by_text("There is no such file.").first.is_visible()


# ── At any size, on any screen, at any moment ─────────────────────────────────────────────────


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Ten thousand inputs."""
    path = tmp_path_factory.mktemp("large") / "large.html"
    preview = {"preview": preview_of({"body": picture(9, 99, 9)}), "input": {"truth": "cat"}}
    with open_writer(path, summary=RunSummary(model="large")) as writer:
        for number in range(10_000):
            name = f"in:{number}"
            result = {"cat": number / 10_000, "dog": 1 - number / 10_000}
            writer.write([Outcome(index=number, id=name, result=result)], {name: preview})
    return path


def test_ten_thousand_inputs_stay_usable(tab, large):
    opened(tab, large)
    assert tab.locator("#found").inner_text() == "1 to 48 of 10,000 inputs"
    assert names(tab)[0] in {"in:5000", "in:4999"}
    elements = tab.evaluate("document.querySelectorAll('body *:not(script)').length")
    assert elements < 2000
    tab.get_by_role("button", name="Last page").click()
    assert tab.get_by_text("Page 209 of 209").is_visible()
    tab.get_by_role("searchbox").fill("in:77")
    tab.get_by_text("1 to 48 of 111 inputs").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(tab, folder, scheme):
    tab.emulate_media(color_scheme=scheme)
    opened(tab, folder / "pets.html")
    contrast = browsers.CONTRAST.read_text(encoding="utf-8")
    assert tab.evaluate(contrast) == []
    tab.get_by_role("button", name="Table").click()
    assert tab.evaluate(contrast) == []
    tab.locator("#list .name").first.click()
    tab.locator("#details-body details").wait_for()
    assert tab.evaluate(contrast) == []


@pytest.mark.parametrize("width", [320, 420, 800, 1360])
def test_nothing_is_wider_than_the_window(tab, folder, width):
    tab.set_viewport_size({"width": width, "height": 800})
    opened(tab, folder / "pets.html")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name(tab, folder):
    opened(tab, folder / "pets.html")
    unnamed = tab.locator("button, input, select, a, canvas, [role=region]").evaluate_all(
        """all => all.filter(one => !(one.textContent.trim() || one.getAttribute('aria-label')
           || one.labels?.length)).map(one => one.outerHTML)"""
    )
    assert unnamed == []
    snapshot = tab.locator("body").aria_snapshot()
    for line in ("banner", "main", "search", "status", 'heading "Right and wrong" [level=2]'):
        assert line in snapshot, line


def test_a_run_that_was_killed_leaves_a_page_that_opens(tab, folder):
    (folder / "slow").mkdir()
    for number in range(3):
        (folder / "slow" / f"{number}.png").write_bytes(picture(200, 99 if number == 2 else 0, 0))
    words = ("run", "--handler", "pets.py", "slow", "-o", "slow.html")
    running = subprocess.Popen(
        [*COMMAND, *words], cwd=folder, start_new_session=True, stderr=subprocess.PIPE
    )
    path, wanted = folder / "slow.html", b'class="row"'
    until = time.monotonic() + 120
    while time.monotonic() < until and not (path.exists() and path.read_bytes().count(wanted) == 2):
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    opened(tab, path)
    assert names(tab) == ["0.png", "1.png"]
    assert tab.locator("#ended").inner_text() == "unfinished"
    (folder / "slow" / "2.png").write_bytes(picture(200, 0, 0))
    done = mar(*words, "--resume", cwd=folder)
    assert "2 done before" in done.stderr
    opened(tab, path)
    assert names(tab) == ["0.png", "1.png", "2.png"]
    assert tab.locator("#ended").inner_text() == "finished"


def test_base64_of_a_request_is_a_picture(tab, tmp_path):
    request = {"data": {"b64": base64.b64encode(picture(9, 9, 9)).decode()}}
    opened(tab, written(tmp_path / "b64.html", [{"a": 0.5, "b": 0.5}], request=request))
    assert tab.locator(".card img").get_attribute("src").startswith("data:image/webp;base64,")
