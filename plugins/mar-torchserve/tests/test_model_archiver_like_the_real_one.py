"""The same command lines, given to this package and to torch-model-archiver 0.12 itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REAL = Path(sys.prefix) / "torchserve"
OURS = Path(__file__).parents[1] / "src"
CODE = "from model_archiver.model_packaging import generate_model_archive as g; g()"
HANDLER = "def handle(data, context):\n    return data\n"
MANIFEST = "MAR-INF/MANIFEST.json"

pytestmark = pytest.mark.skipif(not REAL.exists(), reason="torch-model-archiver is not at hand")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command line came to, as far as anybody can tell."""

    code: int
    said: str
    manifest: dict = field(default_factory=dict)
    members: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The inputs; commands run in a folder of their own beside it."""
    folder = tmp_path_factory.mktemp("inputs")
    for name, text in {
        "handler.py": HANDLER,
        "net.py": "class Net: ...\n",
        "weights.pt": "not even weights",
        "requirements.txt": "numpy\n",
        "config.yaml": "batchSize: 4\n",
        "a.txt": "a",
        "b c.txt": "b c",
        "libmine.so": "elf",
        "pkg/__init__.py": "",
        "pkg/sub/x.txt": "x",
        "pkg/.hidden/y.txt": "y",
        "pkg/__pycache__/z.pyc": "z",
        "pkg/z.pyc": "z",
        "other/a.txt": "another a",
        "twin/sub/x.txt": "twin",
        "manifested/MAR-INF/MANIFEST.json": "{}",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def run(source, words, cwd, tmp_path, repeat=1):
    staging = tmp_path / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    variables = {**os.environ, "PYTHONPATH": str(source), "TMPDIR": str(staging)}
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-c", CODE, *(word.replace("OUT", str(out)) for word in words)]
    for _ in range(repeat):
        done = subprocess.run(
            command, cwd=cwd, env=variables, capture_output=True, text=True, check=False
        )
    manifest, members = contents(out)
    return Outcome(
        code=done.returncode, said=said(done.stderr, tmp_path), manifest=manifest, members=members
    )


def said(text, tmp_path):
    """The logged lines and the last line of a traceback, without what differs by nature."""
    lines = text.replace(str(tmp_path), "").strip().splitlines()
    logged = [
        line for line in lines if re.match(r"WARNING|ERROR|torch-model-archiver: error", line)
    ]
    last = lines[-1:] if "Traceback (most recent call last):" in lines else []
    return re.sub(r"/staging/[\w-]*", "/staging/m", "\n".join([*logged, *last]))


def contents(out):
    """The manifest, less the date, and the members of whatever was written."""
    found = {}
    for path in sorted(out.iterdir()):
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.is_file()]
            found |= {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
        elif path.name.endswith(".tar.gz"):
            with tarfile.open(path) as opened:
                for info in opened.getmembers():
                    found[info.name.partition("/")[2]] = opened.extractfile(info).read()
        else:
            with zipfile.ZipFile(path) as opened:
                found |= {name: opened.read(name) for name in opened.namelist()}
    manifest = json.loads(found.pop(MANIFEST, b"{}"))
    created = manifest.pop("createdOn", None)
    assert created is None or re.fullmatch(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", created)
    return manifest, found


BASE = ["--model-name", "m", "--version", "1.0", "--handler", "handler.py", "--export-path", "OUT"]
LINES = [
    BASE,
    [*BASE, "--serialized-file", "weights.pt", "--model-file", "net.py"],
    [*BASE, "-r", "requirements.txt", "-c", "config.yaml", "-f"],
    [*BASE, "--serialized", "weights.pt", "--extra", "a.txt"],
    [*BASE, "--model", "net.py"],
    [*BASE, "--archive-format", "tgz", "--extra-files", "pkg"],
    [*BASE, "--archive-format", "no-archive", "--extra-files", "pkg"],
    [*BASE, "--archive-format", "zip-store", "--extra-files", "pkg"],
    [*BASE, "--archive-format", "rar"],
    [*BASE, "--runtime", "python3"],
    [*BASE, "--runtime", "java"],
    [*BASE, "--handler", "image_classifier"],
    [*BASE, "--handler", "vllm_handler"],
    [*BASE, "--handler", "densenet_handler"],
    [*BASE, "--handler", "handler"],
    [*BASE, "--handler", "./handler:handle"],
    [*BASE, "--handler", "handler.py:handle"],
    [*BASE, "--handler", "nosuch.py"],
    [*BASE, "--handler", "nosuch"],
    [*BASE, "--handler", "pkg.mod.handler"],
    [*BASE, "--handler", "libmine:Mine", "--runtime", "LSP"],
    [*BASE, "--handler", "BaseHandler", "--runtime", "LSP"],
    [*BASE, "--handler", "libother:Mine", "--runtime", "LSP"],
    [*BASE, "--serialized-file", "nosuch.pt"],
    [*BASE, "--serialized-file", "pkg"],
    [*BASE, "--model-file", "./nosuch.py"],
    [*BASE, "-r", "nosuch.txt"],
    [*BASE, "-c", "nosuch.yaml"],
    [*BASE, "--version", ""],
    [*BASE, "--model-name", "a b"],
    [*BASE, "--model-name", "1.2-x_y"],
    [*BASE, "--model-name", "-m"],
    [*BASE, "--export-path", "handler.py"],
    [*BASE, "--export-path", "nosuch"],
    [*BASE, "--extra-files", "a.txt,b c.txt"],
    [*BASE, "--extra-files", "a.txt, b c.txt"],
    [*BASE, "--extra-files", "a.txt,"],
    [*BASE, "--extra-files", "nosuch.txt"],
    [*BASE, "--extra-files", "*.txt"],
    [*BASE, "--extra-files", "*.nosuch"],
    [*BASE, "--extra-files", "pkg/*"],
    [*BASE, "--extra-files", "pkg, *.yaml"],
    [*BASE, "--extra-files", "[ab]*.txt"],
    [*BASE, "--extra-files", "a.txt,other/a.txt"],
    [*BASE, "--extra-files", "pkg,twin"],
    [*BASE, "--extra-files", "pkg/**/x.txt"],
    [*BASE, "--extra-files", "manifested"],
    [*BASE, "--extra-files", "handler.py"],
    ["--model-name", "m"],
    ["--handler", "handler.py", "--version", "1"],
    [],
    [*BASE, "--nosuch", "x"],
]


@pytest.mark.parametrize("words", LINES, ids=lambda words: " ".join(words[6:]) or "none")
def test_the_same_as_the_real_one(folder, tmp_path, words):
    real = run(REAL, words, folder, tmp_path / "real")
    ours = run(OURS, words, folder, tmp_path / "ours")
    assert ours == real
    assert not list((tmp_path / "ours" / "staging").iterdir()), "nothing is left behind"


@pytest.mark.parametrize("force", [[], ["-f"]])
@pytest.mark.parametrize("archive_format", ["default", "tgz", "no-archive"])
def test_a_second_time(folder, tmp_path, archive_format, force):
    words = [*BASE, "--archive-format", archive_format, *force]
    real = run(REAL, words, folder, tmp_path / "real", repeat=2)
    ours = run(OURS, words, folder, tmp_path / "ours", repeat=2)
    assert ours == real
