"""Pages of the reference that must keep up with the code."""

from __future__ import annotations

import http_page
import names_page
import tree

from mar_core.checks.config import _KEYS
from mar_core.format.manifest import FILE_KEYS


def page(name: str) -> str:
    return (tree.ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def test_the_names_of_torchserve_are_those_of_the_code():
    text = names_page.PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- end -->") == len(names_page.LISTS)
    assert text == names_page.written(text), "run `python tests/support/names_page.py`"


def test_every_key_of_the_config_is_explained():
    text = page("model-config.md")
    assert [key for key in _KEYS if f"`{key}`" not in text and f"## {key}" not in text] == []


def test_every_key_of_the_manifest_is_explained():
    text = page("manifest.md")
    assert [key for key in FILE_KEYS if f"`model.{key}`" not in text] == []


def test_the_paths_of_the_server_are_those_of_its_table():
    text = http_page.PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- end -->") == len(http_page.LISTENERS)
    assert text == http_page.written(text), "run `python tests/support/http_page.py`"
