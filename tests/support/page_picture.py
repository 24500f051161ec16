"""Make the pictures of the page that README shows: ``python tests/support/page_picture.py``.

Trains the example, serves it with the real server, drops a digit in a real browser, light and dark.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import browsers
import httpx
import serving
import tree

MNIST = tree.ROOT / "examples" / "image_classifier" / "mnist"
IMAGES = tree.ROOT / "docs" / "images"
SIZE = {"width": 1180, "height": 790}
# How many requests there are in each second before the picture is taken: a line to look at.
WAVE = (2, 5, 9, 14, 18, 15, 11, 16, 22, 27, 24, 18, 13, 17, 23)


def archive(folder: Path) -> tuple[Path, list[Path]]:
    """The trained example, and digits that it never saw."""
    subprocess.run([sys.executable, MNIST / "train.py", folder], check=True)
    words = [sys.executable, "-m", "mar_core", "archive", "--model-name", "mnist", "--force"]
    words += ["--version", "1.0", "--model-file", MNIST / "mnist.py", "--export-path", folder]
    words += ["--serialized-file", folder / "mnist_cnn.pt", "--handler", MNIST / "mnist_handler.py"]
    subprocess.run([str(word) for word in words], check=True)
    return folder / "mnist.mar", sorted((folder / "digits").glob("*.png"))


def readable(url: str, digits: list[Path]) -> Path:
    """A three that the model reads: it reads most, and the picture is no place for the others."""
    for digit in digits:
        answer = httpx.post(
            f"{url}/predictions/mnist", content=digit.read_bytes(), timeout=60, trust_env=False
        )
        if digit.name.startswith("3_") and answer.text == "3":
            return digit
    raise LookupError("no three is read as a three")


def keep_busy(url: str, digits: list[Path], stop: threading.Event) -> None:
    """Ask in waves, as people do."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for count in WAVE * 10:
            for number in range(count):
                digit = digits[number % len(digits)].read_bytes()
                client.post("/predictions/mnist", content=digit)
                if stop.wait(1 / count):
                    return


def take(browser, url: str, digit: Path, scheme: str, target: Path) -> None:
    """Drop a digit, and take a picture of what one sees then."""
    tab = browser.new_context(color_scheme=scheme, viewport=SIZE, device_scale_factor=1).new_page()
    tab.goto(url)
    tab.get_by_role("heading", name="mnist", level=2).wait_for()
    tab.wait_for_timeout(2 * len(WAVE) * 1000)
    tab.locator("#file").set_input_files({
        "name": "digit.png", "mimeType": "image/png", "buffer": digit.read_bytes(),
    })  # fmt: skip
    tab.get_by_role("button", name="Predict").click()
    tab.locator("#answer .one").wait_for()
    tab.mouse.move(0, 0)
    tab.evaluate("document.activeElement.blur()")
    target.parent.mkdir(exist_ok=True)
    tab.screenshot(path=target)


def main() -> None:
    """Write both pictures."""
    with tempfile.TemporaryDirectory(prefix="mar-page-") as scratch:
        folder = Path(scratch)
        packed, digits = archive(folder)
        with (
            serving.running(packed, "--port", 8080, folder=folder) as server,
            browsers.chromium() as browser,
        ):
            digit = readable(server.inference, digits)
            stop = threading.Event()
            words = (server.inference, digits, stop)
            asking = threading.Thread(target=keep_busy, args=words)
            asking.start()
            try:
                for scheme in ("light", "dark"):
                    take(browser, server.inference, digit, scheme, IMAGES / f"page-{scheme}.png")
            finally:
                stop.set()
                asking.join()


if __name__ == "__main__":
    main()
