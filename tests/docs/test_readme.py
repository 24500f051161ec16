"""README's opening works as it is, but for the weights, which are random here."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import tree
from packs import mar
from PIL import Image

README = (tree.ROOT / "README.md").read_text(encoding="utf-8")
# Instead of what torchvision fetches.
NO_FETCHING = """\
import torchvision.models._api as api
from torchvision.models import resnet18
api.load_state_dict_from_url = lambda *args, **kwargs: resnet18().state_dict()
"""


def test_a_network_of_torchvisions_names_photos(tmp_path):
    (block,) = re.findall(r"```py\n(.*?)```", README, re.DOTALL)
    command = [sys.executable, "-c", NO_FETCHING + block]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "photos").mkdir()
    for name in ("red", "blue"):
        Image.new("RGB", (300, 200), name).save(tmp_path / "photos" / f"{name}.jpg")
    (line,) = re.findall(r"`mar (run resnet18.mar photos)`", README)
    rows = [json.loads(row) for row in mar(*line.split(), cwd=tmp_path).stdout.splitlines()]
    assert [row["id"] for row in rows] == ["photos/blue.jpg", "photos/red.jpg"]
    names = set(json.loads((tmp_path / "index_to_name.json").read_text()).values())
    assert "tabby" in names
    assert all(len(row["result"]) == 5 and set(row["result"]) <= names for row in rows)


def test_pictures_ask_nobody_for_anything():
    text = (tree.ROOT / "docs" / "images" / "terminal.svg").read_text(encoding="utf-8")
    assert "mar" in text
    assert not re.findall(r"url\(['\"]?(?:https?:)?//|<(?:image|use|script)\b|@import", text)
