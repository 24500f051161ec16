"""``mar doctor`` in real environments, the most broken ones included."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from environments import Environment
from handlerdirs import lay_out
from typer.testing import CliRunner

from mar_core.cli import app

ECHO = "def handle(data, context):\n    return data\n"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment in which neither PyTorch nor anything optional is installed."""
    folder = tmp_path_factory.mktemp("bare") / "env"
    gone = ("torch", "captum", "pyarrow", "cookiecutter", "mar_onnx", "mar_scan", "mar_metrics")
    return Environment.create(folder, without=gone)


def states(report, section):
    return {(check["name"], check["state"]) for check in report[section]}


def test_without_pytorch_it_says_so_and_says_the_rest(bare, tmp_path):
    done = bare.mar("doctor", "--json", MAR_CACHE_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (2, "")
    report = json.loads(done.stdout)
    assert not report["fine"]
    assert ("mar-core", "error") in states(report, "machine")
    said = [check["message"] for check in report["machine"] if check["state"] == "error"]
    assert any("torch>=" in text and "not installed" in text for text in said)
    optional = states(report, "optional")
    assert ("mar-core[parquet]", "missing") in optional
    assert ("mar-core[text]", "ok") in optional
    (parquet,) = [c for c in report["optional"] if c["name"] == "mar-core[parquet]"]
    assert "Parquet" in parquet["message"]
    assert "pyarrow>=" in parquet["message"]
    assert parquet["hint"] == "Install it: `pip install 'mar-core[parquet]'`."
    assert str(tmp_path) in report["cache"][0]["message"]
    # The plugins that come with mar need no PyTorch to be imported.
    (ours,) = [check for check in report["plugins"] if check["name"].startswith("mar-core ")]
    assert ours["state"] == "ok"
    assert "mar-rules" in ours["message"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ImportError('libtorch.so is missing')", "ImportError: libtorch.so is missing"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
        ("print('noise')\nraise SystemExit(3)", "SystemExit: 3"),
    ],
    ids=["raises", "dies", "exits"],
)
def test_a_pytorch_that_cannot_be_imported(bare, tmp_path, text, words):
    package = tmp_path / "torch"
    (tmp_path / "torch-2.99.dist-info").mkdir()
    package.mkdir()
    (package / "__init__.py").write_text(text)
    (tmp_path / "torch-2.99.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torch\nVersion: 2.99\n"
    )
    done = bare.mar("doctor", PYTHONPATH=str(tmp_path), MAR_CACHE_DIR=str(tmp_path / "cache"))
    assert (done.returncode, done.stderr) == (2, "")
    (line,) = [line for line in done.stdout.splitlines() if "torch: 2.99" in line]
    assert "error" in line
    assert words in line
    assert "`pip install --force-reinstall torch`" in line
    assert done.stdout.splitlines()[-1].startswith("This machine cannot run mar: ")


def test_a_cache_that_cannot_be_used(bare, tmp_path):
    (tmp_path / "file").write_text("")
    for variables, words in (
        ({"MAR_CACHE_DIR": str(tmp_path / "file" / "x")}, "cannot be made"),
        ({"MAR_CACHE_DIR": str(tmp_path), "MAR_CACHE_SIZE": "much"}, "MAR_CACHE_SIZE"),
    ):
        report = json.loads(bare.mar("doctor", "--json", **variables).stdout)
        ((check),) = report["cache"]
        assert check["state"] == "error"
        assert words in check["message"]


def test_here_all_is_well(tmp_path):
    _, good = lay_out(tmp_path / "good", {"handler.py": ECHO})
    done = subprocess.run(
        [sys.executable, "-m", "mar_core", "doctor", good],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == f"This machine can run {good}."
    titles = [line for line in lines[:-1] if not line.startswith(" ")]
    assert titles == ["machine", "optional", "cache", "plugins", "archive"]
    assert any(line.startswith("  ok      cpu: ") for line in lines)
    assert any("torch: 2." in line and "built for" in line for line in lines)
    assert not [line for line in lines if line.startswith("  error")]


def test_all_reasons_are_given(tmp_path):
    _, bad = lay_out(tmp_path / "bad", {"handler.py": "import one\nimport two\n" + ECHO})
    done = CliRunner().invoke(app, ["doctor", str(bad)])
    assert done.exit_code == 2
    errors = [line for line in done.stdout.splitlines() if line.startswith("  error")]
    assert ["package one" in errors[0], "package two" in errors[1]] == [True, True]
    assert done.stdout.splitlines()[-1] == f"This machine cannot run {bad}: 2 errors above."
