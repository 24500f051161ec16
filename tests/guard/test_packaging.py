"""What is shipped: exactly the files meant, and they work where nothing else of ours is."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import tree

DISTRIBUTIONS = [
    tree.ROOT,
    *sorted(path.parent for path in tree.ROOT.glob("plugins/*/pyproject.toml")),
]


def tracked(*folders: str) -> set[str]:
    """The files below these folders that git knows or would take."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders],
        cwd=tree.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in done.stdout.splitlines() if (tree.ROOT / name).exists()}


def build(source: Path, target: Path) -> tuple[Path, Path]:
    """An sdist, and the wheel that is built from it."""
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "build", "--quiet", "--no-build-isolation", "--offline"),
            *("--out-dir", str(target), str(source)),
        ],
        check=True,
        env={**os.environ, "VIRTUAL_ENV": sys.prefix},
    )
    (sdist,) = target.glob("*.tar.gz")
    (wheel,) = target.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tree.ROOT, tmp_path_factory.mktemp("dist"))


def wheel_files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_exactly_the_packages_and_the_template(built):
    template = {
        name.replace("cookiecutter-handler", "mar_core/_template", 1)
        for name in tracked("cookiecutter-handler")
    }
    assert wheel_files(built[1]) == tracked("mar_core", "builtin_handlers") | template


def test_the_sdist_holds_exactly_what_the_wheel_needs(built):
    with tarfile.open(built[0]) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    meant = tracked(
        *("mar_core", "builtin_handlers", "cookiecutter-handler"),
        *("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"),
    )
    assert files - {"PKG-INFO", ".gitignore"} == meant


@pytest.mark.parametrize("source", DISTRIBUTIONS[1:], ids=lambda path: path.name)
def test_each_plugin_ships_its_sources_and_nothing_else(source, tmp_path):
    folder = source.relative_to(tree.ROOT)
    meant = {str(Path(name).relative_to(folder / "src")) for name in tracked(str(folder / "src"))}
    assert meant
    assert wheel_files(build(source, tmp_path)[1]) == meant


def test_the_wheel_works_where_nothing_else_of_ours_is(built, tmp_path):
    venv = tmp_path / "venv"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    python = venv / "bin" / "python"
    subprocess.run(
        [
            *uv,
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--offline",
            "--python",
            str(python),
            str(built[1]),
        ],
        check=True,
    )
    # What mar depends on comes from this environment; mar itself does not: an editable install is
    # a .pth file, and .pth files are read in site folders only.
    libraries = Path(sys.prefix, "lib", f"python3.{sys.version_info.minor}", "site-packages")
    shown = subprocess.run(
        [str(venv / "bin" / "mar"), "--version"],
        env={**os.environ, "PYTHONPATH": str(libraries)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith("mar 0.")
    where = subprocess.run(
        [str(python), "-c", "import mar_core; print(mar_core.__file__)"],
        env={**os.environ, "PYTHONPATH": str(libraries)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(venv))


@pytest.mark.parametrize("source", DISTRIBUTIONS, ids=lambda path: path.name)
def test_every_distribution_has_its_papers(source):
    for name in ("README.md", "pyproject.toml"):
        assert (source / name).stat().st_size > 0
