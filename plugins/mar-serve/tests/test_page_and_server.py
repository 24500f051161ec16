"""The page as the real server shows it, with a real model behind it."""

from __future__ import annotations

import io

import browsers
import pytest
import serving
import serving_handlers as handlers
from PIL import Image

LOOK = """
def handle(data, context):
    if data is None:
        return None
    return [{"light": 0.75, "dark": 0.25} for _ in data]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    archives = [handlers.make(folder, "look", LOOK), handlers.make(folder, "echo")]
    archives.append(handlers.make(folder, "stream", handlers.STREAM))
    with serving.running(*archives, folder=folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as started:
        yield started


@pytest.fixture
def tab(browser, server):
    with browser.new_context() as context:
        tab = context.new_page()
        problems = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto(server.inference)
        tab.get_by_role("link", name="look").wait_for()
        yield tab
        assert problems == []


def open_model(tab, name):
    tab.get_by_role("link", name=name).click()
    tab.get_by_role("heading", name=name, level=2).wait_for()


def test_a_picture_is_answered_and_counted(tab):
    open_model(tab, "look")
    stream = io.BytesIO()
    Image.new("L", (28, 28), 200).save(stream, format="PNG")
    before = int(tab.locator("#f-requests").inner_text())
    tab.locator("#file").set_input_files(
        {"name": "7.png", "mimeType": "image/png", "buffer": stream.getvalue()}
    )
    tab.get_by_role("button", name="Predict").click()
    tab.get_by_text("75.0 %").wait_for()
    tab.locator("#f-requests").get_by_text(str(before + 1), exact=True).wait_for()
    assert tab.locator("#f-workers").inner_text() == "1 of 1"
    assert tab.locator("#f-p50").inner_text().endswith("s")


def test_a_failure_says_no_more_than_the_server_does(tab):
    open_model(tab, "echo")
    tab.get_by_role("tab", name="Text").click()
    tab.get_by_role("textbox", name="Text").fill("raise")
    tab.get_by_role("button", name="Predict").click()
    refusal = tab.locator("#answer .refusal")
    refusal.wait_for()
    assert refusal.inner_text() == "503 InternalServerException\nPrediction failed"


def test_a_stream_of_the_real_server_is_text(tab):
    open_model(tab, "stream")
    tab.get_by_role("tab", name="Text").click()
    tab.get_by_role("textbox", name="Text").fill("go")
    tab.get_by_role("button", name="Predict").click()
    tab.locator("#answer").get_by_text("one two three").wait_for()


def test_the_page_is_for_this_host_only(server):
    with server.client() as client:
        assert client.get("/").status_code == 200
        for path in ("/", "/page/page.js", "/page/models.json"):
            assert client.get(path, headers={"host": "evil.example"}).status_code == 403, path
