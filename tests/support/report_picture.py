"""Make the pictures of the report that the docs show: ``python tests/support/report_picture.py``.

Trains the example's network for a short while, so that there is something to find, runs it on
digits that it never saw, and opens the report in a real browser, light and dark.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import browsers
import torch
import tree
from PIL import Image

MNIST = tree.ROOT / "examples" / "image_classifier" / "mnist"
IMAGES = tree.ROOT / "docs" / "images"
SIZE = {"width": 1180, "height": 1330}
SEEN, TRIED, EPOCHS = 700, 500, 3
HANDLER = """\
from torchvision import transforms
from ts.torch_handler.image_classifier import ImageClassifier


class Digits(ImageClassifier):
    topk = 3
    image_processing = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )
"""


def report(folder: Path) -> Path:
    """The report of a run over the digits that the network has not seen, each in its folder."""
    sys.path.append(str(MNIST))
    import mnist
    import train

    torch.manual_seed(train.SEED)
    train.EPOCHS = EPOCHS
    pictures, labels = train.digit_pictures()
    model = mnist.Net()
    train.train(model, train.as_tensor(pictures[:SEEN]), torch.from_numpy(labels[:SEEN]).long())
    torch.save(model.state_dict(), folder / "digits.pt")
    (folder / "digits.py").write_text(HANDLER)
    unseen = list(zip(pictures, labels, strict=True))[SEEN : SEEN + TRIED]
    for number, (picture, label) in enumerate(unseen):
        place = folder / "digits" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{number:04}.png")
    (folder / "digits" / "9" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    words = [sys.executable, "-m", "mar_core", "run", "--handler", "digits.py", "--model-file",
             MNIST / "mnist.py", "--serialized-file", "digits.pt", "digits",
             "--truth", "folder", "--model-name", "digits",
             "--batch-size", "16", "--output", "report.html"]  # fmt: skip
    subprocess.run(list(map(str, words)), cwd=folder, check=False)  # one picture is torn
    return folder / "report.html"


def main() -> None:
    """Write both pictures."""
    with tempfile.TemporaryDirectory(prefix="mar-report-") as scratch:
        page = report(Path(scratch))
        with browsers.chromium() as browser:
            for scheme in ("light", "dark"):
                tab = browser.new_context(color_scheme=scheme, viewport=SIZE).new_page()
                tab.goto(page.as_uri())
                tab.locator(".card img").first.wait_for()
                target = IMAGES / f"report-{scheme}.png"
                tab.screenshot(path=target)
                with Image.open(target) as taken:  # half of its size, and nobody sees it
                    few = taken.convert("RGB").quantize(256, dither=Image.Dither.NONE)
                few.save(target, optimize=True)


if __name__ == "__main__":
    main()
