"""A handler that is installed imports files of its archive as if it were part of it."""

from __future__ import annotations

import importlib
import pickle
import sys

import pytest
from handlerdirs import lay_out

from mar_core import HandlerError, import_file, load
from mar_core.handlers.code import ArchiveCode
from mar_core.testing import make_archive
from mar_core.ts.context import Context

HANDLER = """
import mar_core

class Handler:
    def initialize(self, context):
        self.module = mar_core.import_file(context, "code/inference.py")
        self.initialized = True

    def handle(self, data, context):
        return [self.module.who() for _ in data or ()]
"""
INFERENCE = "import labels\n\n\ndef who():\n    return labels.NAME\n"


def context_of(folder):
    return Context("m", str(folder), {}, 1, None, "1")


def test_each_archive_has_its_own(tmp_path):
    paths = list(sys.path)
    answers = []
    archives = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "h.py").write_text(HANDLER)
        files = {"code/inference.py": INFERENCE, "code/labels.py": f"NAME = '{name}'\n"}
        archives.append(
            make_archive(tmp_path / name, handler=tmp_path / name / "h.py", files=files)
        )
    with load(archives[0]) as first, load(archives[1]) as second:
        answers = [model.predict(["x"]) for model in (first, second, first)]
    assert answers == [["one"], ["two"], ["one"]]
    assert sys.path == paths
    assert "inference" not in sys.modules


def test_what_is_unpickled_finds_a_folder_that_was_added(tmp_path):
    lay_out(tmp_path, {"lib/things.py": "class Thing:\n    pass\n"})
    code = ArchiveCode(tmp_path, "m")
    with code.active():
        code.add_folder(tmp_path / "lib")
        thing = pickle.loads(b"cthings\nThing\n)\x81.")
        assert type(thing).__name__ == "Thing"
    code.close()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("things")


def test_a_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(HandlerError, match=r"no file 'code/inference\.py'"):
        import_file(context_of(tmp_path), "code/inference.py")
