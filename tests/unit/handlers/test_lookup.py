"""The one look-up: what is found where, what is named in vain, and who can explain."""

from __future__ import annotations

import importlib.util

import pytest

from mar_core.handlers.entry import why_unexplained
from mar_core.handlers.lookup import Reason, look_up, missing_entry
from mar_core.handlers.source import Module, parse_module


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """An installed package whose import would be noticed, and a distribution that names it."""
    site = tmp_path / "site"
    package = site / "acme_lib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / "handler.py").write_text(
        "from elsewhere import Borrowed\nclass Mine:\n    def handle(self, data, context): ...\n"
    )
    (package / "lazy.py").write_text("def __getattr__(name): ...\n")
    (package / "made.py").write_text(
        "for name in 'AB':\n    globals()[name] = type(name, (), {})\n"
    )
    metadata = site / "acme-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[mar.handlers]\nfine = acme_lib.handler:Mine\nmisspelt = acme_lib.handler:Mien\n"
        "lost = acme_lib.handlr:Mine\nwhole = acme_lib.handler\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return site


def fault(name):
    found = look_up(name)
    assert found is not None
    return missing_entry(found)


@pytest.mark.parametrize(
    "name",
    [
        "fine", "whole", "acme_lib.handler:Mine", "acme_lib.handler:Borrowed", "acme_lib.handler",
        "acme_lib.lazy:Anything", "acme_lib.made:A", "image_classifier",
        "builtin_handlers.image_classifier:ImageClassifier",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("acme")
def test_entries_that_are_there_or_may_be(name):
    assert fault(name) is None


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "misspelt",
            "The module acme_lib.handler has no 'Mien', which misspelt (acme 1.0) names.",
            "upgrade acme",
        ),
        ("lost", "There is no module 'acme_lib.handlr', which lost (acme 1.0) names.", "acme"),
        (
            "acme_lib.handler:Mien",
            "The module acme_lib.handler has no 'Mien'.",
            "Did you mean Mine?",
        ),
    ],
)
@pytest.mark.usefixtures("acme")
def test_entries_that_are_not(name, message, hint):
    absence = fault(name)
    assert absence is not None
    assert (absence.reason, absence.message) == (Reason.ENTRY, message)
    assert hint in (absence.hint or "")


# --- explanations -------------------------------------------------------------------------------


def why(name, source=None):
    """Why the handler cannot explain, in words."""
    module = parse_module(source.encode()) if source else None
    assert module is None or isinstance(module, Module)
    found = look_up(name, {"handler.py"} if source else ())
    assert found is not None
    error = why_unexplained(found, module)
    return "" if error is None else str(error)


@pytest.fixture
def without_captum(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "captum" else real(name)
    )


BY_US = """
from ts.torch_handler.image_classifier import ImageClassifier
class H(ImageClassifier):
    pass
"""
ITSELF = BY_US.replace("pass", "def get_insights(self, *a): ...")
NOT_AT_ALL = """
from ts.torch_handler.base_handler import BaseHandler
class H(BaseHandler):
    pass
"""
IN_ITS_OWN_WAY = NOT_AT_ALL.replace("pass", "def handle(self, data, context): ...")
PERHAPS = """
from helper import Base
class H(Base):
    def handle(self, data, context): ...
"""
FUNCTION = "def handle(data, context): ...\n"


@pytest.mark.parametrize("name", ["image_classifier", "text_classifier", "image_segmenter"])
@pytest.mark.usefixtures("without_captum")
def test_ours_need_captum(name):
    assert "Explanations need Captum, which is not installed. Install it: `pip install" in why(name)
    assert "Captum" in why("handler.py", BY_US)


def test_with_captum_they_explain():
    pytest.importorskip("captum")
    assert why("image_classifier") == why("handler.py", BY_US) == ""


@pytest.mark.parametrize("source", [ITSELF, IN_ITS_OWN_WAY, PERHAPS, FUNCTION])
@pytest.mark.usefixtures("without_captum")
def test_handlers_that_may_explain(source):
    assert why("handler.py", source) == ""


def test_handlers_that_cannot():
    for said in (why("handler.py", NOT_AT_ALL), why("base_handler")):
        assert "cannot explain: it has no get_insights(data, raw, target)." in said
