"""Pages of the reference that must keep up with the code."""

from __future__ import annotations

import tomllib

import api_page
import cli_page
import handlers_page
import http_page
import keys_page
import names_page
import pytest
import tree
import weights_page

from builtin_handlers.image_classifier import ImageClassifier
from builtin_handlers.object_detector import ObjectDetector
from builtin_handlers.options import OPTIONS
from builtin_handlers.text_handler import VOCABULARY_FILES
from builtin_handlers.transforms import IMAGENET
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
    assert [key for key in ("handler", *FILE_KEYS) if f"`model.{key}`" not in text] == []


def test_the_formats_of_weights_are_those_of_the_registry():
    written = weights_page.PAGE.read_text(encoding="utf-8")
    assert written == weights_page.page(), "run `python tests/support/weights_page.py`"


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_built_in_handler_has_a_page(name):
    path = handlers_page.FOLDER / f"{name}.md"
    text = path.read_text(encoding="utf-8")
    sections = ("Takes", "Does", "The network", "Gives", "Options")
    places = [text.index(f"\n## {section}\n") for section in sections]
    assert places == sorted(places)
    assert text == handlers_page.written(name, text), "run `python tests/support/handlers_page.py`"
    index = (tree.ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert f"(reference/handlers/{name}.md)" in index


def test_the_pages_are_those_of_the_handlers_that_mar_registers():
    project = tomllib.loads((tree.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = project["entry-points"]["mar.handlers"]
    assert {path.stem for path in handlers_page.FOLDER.glob("*.md")} == set(entries)
    assert set(OPTIONS) == set(entries)
    for name, target in entries.items():  # the options of a handler are found by its module's name
        assert target.partition(":")[0] == f"builtin_handlers.{name}"


@pytest.mark.parametrize("name", ["image_classifier", "image_segmenter"])
def test_the_pages_say_what_is_done_to_pictures(name):
    text = (handlers_page.FOLDER / f"{name}.md").read_text(encoding="utf-8")
    said = " ".join(text.partition("\n## Does\n")[2].partition("\n## ")[0].split())
    for numbers in (IMAGENET.mean, IMAGENET.std):
        assert ", ".join(map(str, numbers)) in said
    assert f"resized to {IMAGENET.resize} (its shorter side)" in said
    assert f"{IMAGENET.size} × {IMAGENET.size} cropped" in said
    defaults = {key: option.default for key, option in OPTIONS[name].items()}
    assert defaults["mean"] == ", ".join(map(str, IMAGENET.mean))
    assert defaults["std"] == ", ".join(map(str, IMAGENET.std))
    assert (defaults["size"], defaults["resize"][:3]) == ("224", "256")


def test_the_other_defaults_of_options_are_those_of_the_classes():
    defaults = {
        (name, key): option.default for name, own in OPTIONS.items() for key, option in own.items()
    }
    assert defaults["image_classifier", "topk"] == str(ImageClassifier.topk)
    assert defaults["object_detector", "threshold"] == str(ObjectDetector.threshold)
    text = (handlers_page.FOLDER / "text_handler.md").read_text(encoding="utf-8")
    assert ", ".join(f"`{name}`" for name in VOCABULARY_FILES) in " ".join(text.split())


def test_the_paths_of_the_server_are_those_of_its_table():
    text = http_page.PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- end -->") == len(http_page.LISTENERS)
    assert text == http_page.written(text), "run `python tests/support/http_page.py`"


def test_the_keys_of_config_properties_are_those_of_the_program():
    text = keys_page.PAGE.read_text(encoding="utf-8")
    assert text == keys_page.written(text), "run `python tests/support/keys_page.py`"


@pytest.mark.parametrize("made", [api_page, cli_page], ids=lambda made: made.__name__)
def test_the_pages_that_are_made_whole_are_those_of_the_program(made):
    written = made.PAGE.read_text(encoding="utf-8")
    assert written == made.page(), f"run `python tests/support/{made.__name__}.py`"
