"""What is wrong with an archive or its sources is said in a sentence, by every command alike."""

from __future__ import annotations

import pytest
import torch
from packs import mar, mar_here
from torch import nn

from mar_core import MarError

ONE = """
from torch import nn
class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
"""
GIVES_UP = """\
import asyncio
class Handler:
    def initialize(self, context):
        raise asyncio.CancelledError("no")
    def handle(self, data, context):
        return data
"""
STARTS = """
class Starts:
    def initialize(self, context):
        raise KeyError("weights")
    def handle(self, data, context):
        return data
"""
TWO = f"{ONE}\nclass Other(nn.Linear):\n    pass\n"
ECHO = "def handle(data, context):\n    return data and [1] * len(data)\n"


@pytest.fixture
def shed(bad_sources, monkeypatch):
    """The current folder, with good and bad sources, and bad archives."""
    monkeypatch.chdir(bad_sources)
    return bad_sources


@pytest.fixture(scope="module")
def bad_sources(tmp_path_factory):
    """Good and bad sources, and bad archives."""
    folder = tmp_path_factory.mktemp("shed")
    files = {
        "one.py": ONE,
        "two.py": TWO,
        "echo.py": ECHO,
        "syntax.py": "def handle(data, context:\n    return data\n",
        "needs.py": f"import json\nimport nothing_like_it.deep\n{ECHO}",
        "raises.py": f"{ECHO}\nraise RuntimeError('not today')\n",
        "exits.py": f"{ECHO}\nimport sys; sys.exit(3)\n",
        "nothing.py": "answer = 42\n",
        "starts.py": STARTS,
        "gives_up.py": GIVES_UP,
        "text.mar": "just some text\n",
        "x.txt": "x",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    torch.save(nn.Linear(2, 2).state_dict(), folder / "w.pt")
    words = ("archive", "--model-name", "echo", "--version", "1", "--handler", "echo.py")
    mar(*words, "--extra-files", "w.pt", cwd=folder)
    content = (folder / "echo.mar").read_bytes()
    (folder / "cut.mar").write_bytes(content[: len(content) // 2])
    (folder / "empty.mar").write_bytes(b"")
    flipped = bytearray(content)
    flipped[content.index((folder / "w.pt").read_bytes()[99:199])] ^= 1
    (folder / "flipped.mar").write_bytes(flipped)
    (folder / "folder.mar").mkdir()
    return folder


def refused(*words):
    """What ``mar`` says in refusing: a line or two."""
    with pytest.raises(MarError) as caught:
        mar_here(*words)
    assert caught.value.exit_code == 2
    lines = str(caught.value).splitlines()
    assert len(lines) <= 2
    return " ".join(line.strip() for line in lines)


SOURCES = [
    (("--handler", "image_classifier", "--model-file", "two.py", "--serialized-file", "w.pt"),
     "two.py: The file defines 2 networks: Net, Other."),
    (("--handler", "syntax.py"), "syntax.py"),
    (("--handler", "nothing.py"), "nothing.py"),
    (("--handler", "image_classifer"), "Did you mean image_classifier"),
    (("--handler", "echo.py", "--model-file", "nosuch.py"), "There is no file 'nosuch.py'."),
    (("--handler", "image_classifier", "--serialized-file", "w.pt"), "--model-file"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "says"), SOURCES, ids=lambda value: str(value)[:60])
def test_what_archive_refuses_run_refuses_alike(shed, words, says):
    before = sorted(shed.iterdir())
    named = ("--model-name", "bad", "--version", "1")
    archived = refused("archive", *words, *named)
    ran = refused("run", *words, *named, "x.txt")
    assert says in archived
    assert says in ran
    assert sorted(shed.iterdir()) == before


def test_an_archive_that_is_there_is_kept(shed):
    words = ("archive", "--model-name", "echo", "--version", "2", "--handler", "echo.py")
    before = (shed / "echo.mar").read_bytes()
    said = refused(*words)
    assert "echo.mar" in said
    assert "--force" in said
    assert (shed / "echo.mar").read_bytes() == before


LOADING = [
    (
        "needs.py",
        "needs.py (line 2) needs the package nothing_like_it, which is not installed. Install the",
    ),
    ("raises.py", "raises.py (line 4) raised RuntimeError while it was loaded: not today"),
    ("exits.py", "exits.py (line 4) raised SystemExit while it was loaded: 3"),
    ("starts.py", "starts.py failed in initialize: KeyError: 'weights' (starts.py, line 4,"),
    ("gives_up.py", "gives_up.py failed in initialize: CancelledError: no (gives_up.py, line 4,"),
]  # fmt: skip


@pytest.mark.parametrize(("handler", "says"), LOADING)
def test_a_handler_that_cannot_be_loaded(shed, handler, says):
    words = ("run", "--handler", handler, "x.txt")
    assert says in refused(*words)
    assert says in refused(*words, "--workers", "1")


def test_no_traceback_for_a_users_mistake(shed):
    done = mar("run", "--handler", "syntax.py", "x.txt", cwd=shed, code=2)
    assert done.stderr.startswith("mar: error: ")
    assert len(done.stderr.splitlines()) <= 2
    assert done.stdout == ""


def test_a_handler_that_cannot_be_loaded_may_be_looked_into(shed):
    done = mar("run", "--handler", "raises.py", "x.txt", "--verbose", cwd=shed, code=2)
    assert f'File "{shed}/raises.py", line 4, in <module>' in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mar: error: raises.py (line 4) raised")


ARCHIVES = [
    ("nosuch.mar", "There is no archive 'nosuch.mar'."),
    ("text.mar", "It is a text file, not a model archive."),
    ("cut.mar", "cut.mar"),
    ("empty.mar", "empty.mar"),
    ("flipped.mar", "w.pt"),
    ("folder.mar", "folder.mar"),
    ("w.pt", "w.pt"),
]


@pytest.mark.parametrize(("archive", "says"), ARCHIVES)
def test_an_archive_that_is_none(shed, archive, says):
    assert says in refused("run", archive, "x.txt")


def test_an_interrupted_output_is_not_begun_for_nothing(shed):
    """What could not be run leaves no output that would have to be resumed."""
    mar("run", "--handler", "raises.py", "x.txt", "-o", "out.jsonl", cwd=shed, code=2)
    mar("run", "--handler", "echo.py", "x.txt", "-o", "out.jsonl", cwd=shed)
    assert (shed / "out.jsonl").read_text() == '{"id": "x.txt", "result": 1}\n'


def test_the_other_forms_of_an_archive(shed, capsys):
    words = ("archive", "--model-name", "forms", "--version", "1", "--handler", "echo.py", "-q")
    mar_here(*words, "--archive-format", "tgz")
    mar_here(*words, "--archive-format", "no-archive")
    for form in ("echo.mar", "forms.tar.gz", "forms"):
        assert mar_here("run", form, "x.txt", "-q") in {0, None}
        assert capsys.readouterr().out == '{"id": "x.txt", "result": 1}\n'
