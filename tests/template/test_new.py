"""``mar new``: a fresh package passes its own tests, installs, is listed and runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tree
import yaml
from environments import Environment

from mar_core import UsageError
from mar_core.scaffold import KINDS, Project, check_handler_name, create_project, template_dir

MESSAGES = {
    "import": "a word of Python's own",
    "match": "a word of Python's own",
    "json": "a module of Python's standard library",
    "1x": "begin with a letter",
    "_x": "begin with a letter",
    "mar-x": "lower-case letters, digits and single '_'",
    "mar_x": "which the package's name gets anyway: 'x'",
    "Größe": "lower-case letters",
    "ХЭШ": "lower-case letters",
    "Reader": "lower-case letters",
    "a b": "lower-case letters",
    "a__b": "single '_'",
    "a_": "single '_'",
    "": "lower-case letters",
    "../evil": "lower-case letters",
    "{{x}}": "lower-case letters",
    "image_classifier": "a handler that comes with mar",
    "ray": "the package mar-ray, which there is already",
    "x" * 31: "at most 30",
}
FILES = {
    ".github/workflows/publish.yml", ".github/workflows/test.yml", ".gitignore", "LICENSE",
    "README.md", "pyproject.toml", "src/MODULE/__init__.py", "src/MODULE/handler.py",
    "src/MODULE/py.typed", "tests/network.py", "tests/test_contract.py", "tests/test_handler.py",
}  # fmt: skip
TOOL = Path(sys.executable).parent
GOOD = {"description": "Counts o'clock & more.", "author": "Zoë O'Brien"}


def files_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module", params=KINDS)
def package(request, tmp_path_factory):
    kind = request.param
    home = tmp_path_factory.mktemp(f"new-{kind}")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mar_core", "new", f"reader_{kind}", "--kind", kind),
            *("--description", GOOD["description"], "--author", GOOD["author"]),
        ],
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in home.iterdir()] == [f"mar-reader-{kind}"], "litter"
    return kind, home / f"mar-reader-{kind}"


def test_the_tree_is_exact_and_rendered(package):
    kind, folder = package
    wanted = {name.replace("MODULE", f"mar_reader_{kind}") for name in FILES}
    found = files_of(folder)
    assert set(found) == wanted - ({"tests/network.py"} if kind == "function" else set())
    for name, text in found.items():
        if not name.startswith(".github"):
            assert not re.search(r"\{\{|\{%|cookiecutter", text), name


def test_plain_cookiecutter_makes_the_same(package, tmp_path):
    kind, folder = package
    answers = Project(handler_name=f"reader_{kind}", kind=kind, **GOOD).answers
    home = tmp_path / "home"
    subprocess.run(
        [
            *(sys.executable, "-m", "cookiecutter", str(tree.ROOT / "cookiecutter-handler")),
            *("--no-input", "--output-dir", str(tmp_path / "out")),
            *(f"{key}={value}" for key, value in answers.items()),
        ],
        check=True,
        capture_output=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    assert files_of(tmp_path / "out" / folder.name) == files_of(folder)


def test_it_is_clean(package):
    _, folder = package
    # Types of torch take mypy half a minute to read: once, for all kinds and later runs.
    types = ["mypy", "--cache-dir", str(tree.ROOT / ".mypy_cache" / "template")]
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."], types):
        done = subprocess.run(
            [TOOL / command[0], *command[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_workflows_are_yaml(package):
    _, folder = package
    test = yaml.safe_load((folder / ".github/workflows/test.yml").read_text())
    publish = yaml.safe_load((folder / ".github/workflows/publish.yml").read_text())
    assert "3.11" in test["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert publish["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert test["permissions"] == {"contents": "read"}


def test_it_builds_installs_is_listed_and_passes_its_own_tests(package, tmp_path):
    kind, folder = package
    wheels = tmp_path / "wheels"
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "build", "--quiet", "--offline", "--wheel"),
            *("--no-build-isolation", "--out-dir", str(wheels), str(folder)),
        ],
        check=True,
        env={"PATH": f"{TOOL}:/usr/bin:/bin", "VIRTUAL_ENV": sys.prefix, "HOME": str(tmp_path)},
    )
    environment = Environment.create(tmp_path / "env")
    environment.install(*wheels.glob("*.whl"))
    listed = json.loads(environment.mar("plugins", "--json").stdout)
    (entry,) = [entry for entry in listed if entry["name"] == f"reader_{kind}"]
    assert (entry["distribution"], entry["state"]) == (folder.name, "available")
    done = environment.run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"), cwd=folder
    )
    assert done.returncode == 0, done.stdout
    assert "13 passed" in done.stdout


@pytest.mark.parametrize("name", MESSAGES)
def test_bad_names_are_refused_with_a_sentence(name):
    with pytest.raises(UsageError) as caught:
        check_handler_name(name)
    assert MESSAGES[name] in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "audio"}, "vision, text, tensor, function"),
        ({"project_name": "Bad Name"}, "--project-name"),
        ({"project_name": "json"}, "would hide a module"),
        ({"project_name": "mar-ray"}, "is installed here already"),
        ({"description": 'say "hi"'}, "--description"),
        ({"description": "{{ 7 * 7 }}"}, "--description"),
        ({"description": "two\nlines"}, "--description"),
        ({"author": ""}, "--author"),
        ({"author": "x" * 81}, "--author"),
    ],
)
def test_bad_answers_are_refused_and_nothing_is_made(change, words, tmp_path):
    with pytest.raises(UsageError, match=re.escape(words)):
        create_project(Project(handler_name="reader", **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_stays(tmp_path):
    (tmp_path / "mar-reader").mkdir()
    with pytest.raises(UsageError, match="exists"):
        create_project(Project(handler_name="reader"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mar-reader"]


def test_a_failing_engine_leaves_nothing(tmp_path, monkeypatch):
    broken = tmp_path / "template"
    (broken / "{{cookiecutter.project_name}}").mkdir(parents=True)
    (broken / "{{cookiecutter.project_name}}" / "x.py").write_text("{{ cookiecutter.nope }}")
    (broken / "cookiecutter.json").write_text('{"project_name": "x"}')
    monkeypatch.setattr("mar_core.scaffold.template_dir", lambda: broken)
    with pytest.raises(Exception, match="nope"):
        create_project(Project(handler_name="reader"), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_it_asks_on_a_terminal_until_each_answer_is_good(tmp_path):
    pty = pytest.importorskip("pty")
    code = (
        "import pty, sys, os\n"
        "sys.exit(os.waitstatus_to_exitcode(pty.spawn([sys.executable, '-m', 'mar_core', 'new'])))"
    )
    assert pty
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="json\nclock\ntxt\ntext\n\nTells the time.\nAda\n",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert "standard library" in done.stdout
    assert "There is no kind 'txt'." in done.stdout
    pyproject = (tmp_path / "mar-clock" / "pyproject.toml").read_text()
    assert '"Tells the time."' in pyproject
    assert '"Ada"' in pyproject


def test_the_template_is_taken_from_the_installed_package(tmp_path, monkeypatch):
    installed = tmp_path / "mar_core"
    (installed / "_template").mkdir(parents=True)
    monkeypatch.setattr("mar_core.scaffold.__file__", str(installed / "scaffold.py"))
    assert template_dir() == installed / "_template"


def test_what_pip_compiled_in_the_template_is_not_copied(tmp_path, monkeypatch):
    import shutil

    template = tmp_path / "template"
    shutil.copytree(template_dir(), template)
    cache = template / "{{cookiecutter.project_name}}" / "tests" / "__pycache__"
    cache.mkdir()
    (cache / "test_handler.cpython-311.pyc").write_bytes(b"\0\1\2")
    monkeypatch.setattr("mar_core.scaffold.template_dir", lambda: template)
    made = create_project(Project(handler_name="reader"), tmp_path / "out")
    assert not list(made.rglob("__pycache__"))
