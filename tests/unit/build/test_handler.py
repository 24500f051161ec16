"""What --handler names, found without importing it."""

from __future__ import annotations

import sys

import pytest

from mar_core.build.handler import HandlerSpec, resolve_handler
from mar_core.build.request import Runtime
from mar_core.errors import UsageError


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package on the path whose import would be noticed."""
    package = tmp_path / "site" / "acme_lib"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / "deep" / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / "deep" / "handler.py").write_text("class Mine: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", ["acme_lib.deep.handler:Mine", "acme_lib.deep.handler"])
@pytest.mark.usefixtures("installed")
def test_installed_modules_are_found_without_import(text):
    assert resolve_handler(text) == HandlerSpec(value=text)
    assert "acme_lib" not in sys.modules


@pytest.mark.parametrize(
    "text",
    ["acme_lib.deep.nosuch:Mine", "acme_lib.nosuch.handler", "nosuch.handler:Mine", "acme_lib"],
)
@pytest.mark.usefixtures("installed")
def test_modules_that_are_not_there(text):
    with pytest.raises(UsageError, match="There is no handler"):
        resolve_handler(text)


def test_a_distribution_is_recorded():
    found = resolve_handler("builtin_handlers.base_handler:BaseHandler")
    assert found.distribution == "mar-core"
    assert found.version


def test_torchserves_names_win_over_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("image_classifier", "densenet_handler"):
        (tmp_path / f"{name}.py").write_text("")
    assert resolve_handler("image_classifier").source is None
    assert resolve_handler("image_classifier.py").source is not None
    # Not one of torch-model-archiver's names: there, this is the file.
    assert resolve_handler("densenet_handler").source is not None
    (tmp_path / "densenet_handler.py").unlink()
    assert resolve_handler("densenet_handler").distribution == "mar-core"


def test_a_folder_called_py(tmp_path, monkeypatch):
    """torch-model-archiver takes ``.py`` anywhere in the path for the ending."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.py.d").mkdir()
    (tmp_path / "x.py.d" / "hh.py").write_text("")
    assert str(resolve_handler("./x.py.d/hh").source) == "x.py.d/hh.py"


@pytest.mark.parametrize(
    ("source", "entry", "value"),
    [
        ("class A: ...\n", "A", "h.py"),
        ("class A: ...\nclass B: ...\n", "A", "h.py:A"),
        ("class A: ...\ndef handle(d, c): ...\n", "A", "h.py:A"),
        ("class A: ...\nhandle = A().handle\n", "A", "h.py:A"),
        ("from x import handle\nclass A: ...\n", "A", "h.py:A"),
        ("class A: ...\n", "B", "h.py:B"),
        ("def f(d, c): ...\n", "f", "h.py:f"),
        ("class A(:\n", "A", "h.py:A"),
    ],
)
def test_a_class_that_torchserve_finds_by_itself(tmp_path, monkeypatch, source, entry, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h.py").write_text(source)
    assert resolve_handler(f"h.py:{entry}").value == value


def test_lsp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "libx.so").write_bytes(b"")
    assert resolve_handler("BaseHandler", runtime=Runtime.LSP).source is None
    for text in ("libx:Class", "libx", "./libx:Class"):
        found = resolve_handler(text, runtime=Runtime.LSP)
        assert found.source is not None
        assert found.value == text.removeprefix("./")
    with pytest.raises(UsageError, match="no handler library"):
        resolve_handler("image_classifier", runtime=Runtime.LSP)
