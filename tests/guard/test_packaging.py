"""What is shipped: exactly the files meant, and they work where nothing else of ours is."""

from __future__ import annotations

import importlib.util
import re

import pytest
import tree
import yaml

_spec = importlib.util.spec_from_file_location("dist", tree.ROOT / ".ci" / "dist.py")
dist = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(dist)

WORKFLOWS = sorted(tree.ROOT.glob(".github/workflows/*.yml"))
DISTRIBUTIONS = dist.distributions()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Each distribution's sdist and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    return {source: dist.build(source, folder) for source in DISTRIBUTIONS}


@pytest.mark.parametrize("source", DISTRIBUTIONS, ids=dist.name_of)
def test_each_distribution_holds_exactly_what_is_meant(source, built):
    assert dist.meant_for_wheel(source)
    assert dist.differences(source, *built[source]) == []


def test_the_wheel_has_the_packages_and_the_template(built):
    files = dist.wheel_files(built[tree.ROOT][1])
    folders = {name.partition("/")[0] for name in files}
    assert folders == {"mar_core", "builtin_handlers"}
    template = "mar_core/_template/{{cookiecutter.project_name}}/.github/workflows/test.yml"
    assert {template, "mar_core/py.typed", "builtin_handlers/py.typed"} <= files


def test_differences_are_named(built):
    sdist, wheel = built[tree.ROOT]
    other = DISTRIBUTIONS[1]
    found = dist.differences(other, sdist, wheel)
    assert f"{wheel.name}: should not have mar_core/py.typed" in found
    assert any(line.startswith(f"{sdist.name}: lacks src/") for line in found)


def test_the_wheels_work_where_nothing_else_of_ours_is(built, tmp_path):
    wheels = [wheel for _, wheel in built.values()]
    assert dist.try_out(wheels, tmp_path / "venv", full=False) == []


@pytest.mark.parametrize("source", DISTRIBUTIONS, ids=lambda path: path.name)
def test_every_distribution_has_its_papers(source):
    for name in ("README.md", "pyproject.toml"):
        assert (source / name).stat().st_size > 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_take_actions_by_commit_and_ask_for_little(path):
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    uses = re.findall(r"uses: (\S+)(.*)", text)
    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+(\.\d+)*", comment), action
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert set(job.get("permissions", {})) <= {"id-token"}


def test_a_release_publishes_what_was_built_and_checked():
    jobs = yaml.safe_load((tree.ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    assert any(".ci/dist.py dist --full" in step.get("run", "") for step in jobs["build"]["steps"])
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["environment"] == "release"
    assert not any("run" in step for step in jobs["publish"]["steps"])
    assert "dist.txt" in (tree.ROOT / "Makefile").read_text()


def test_nothing_says_to_install_from_an_index_what_is_not_there():
    """mar and its plugins are on no index: a package of such a name is somebody else's."""
    names = [dist.name_of(source) for source in DISTRIBUTIONS]
    line = re.compile(rf"pip install (?:-U )?'?({'|'.join(names)})(?![\[\w-])(?! @)")
    pages = [
        *tree.ROOT.glob("*.md"),
        *tree.ROOT.glob("docs/**/*.md"),
        *tree.ROOT.glob("plugins/*/*.md"),
    ]
    code = [
        tree.ROOT / path
        for path in (*tree.sources("mar_core", "builtin_handlers"), *tree.plugin_sources())
    ]
    for path in (*pages, *code):
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not line.search(text), f"{path}:{number}: {text.strip()}"
