"""A real headless Chromium, where there is one."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

# Finds the texts of a page that do not stand out from their ground.
CONTRAST = Path(__file__).with_name("contrast.js")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def path_of_chromium():
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextlib.contextmanager
def chromium():
    """A browser; the test is skipped where none is installed."""
    path = path_of_chromium()
    if path is None:
        pytest.skip("needs Chromium: `apt-get install chromium`")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        # Containers rarely allow Chromium's own sandbox; nothing but our own page is opened.
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
