"""Real environments for tests, with real little distributions installed into them."""

from __future__ import annotations

import os
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

# This process's own packages are seen from the new environment, editable installs included.
PTH = "import site; list(map(site.addsitedir, {paths!r}))\n"


@dataclass(frozen=True)
class Environment:
    """A virtual environment that sees the packages of this one and has its own on top."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, *, without: tuple[str, ...] = ()) -> Environment:
        """Make one.

        Args:
            folder: Where.
            without: What it must not see of this one's packages: beginnings of their files' names.
        """
        _uv("venv", "--quiet", "--python", sys.executable, str(folder))
        environment = cls(folder)
        paths = [path for path in site.getsitepackages() if Path(path).is_dir()]
        if without:
            paths = [_linked(paths, folder / "outer", without)]
        (environment.site_packages / "zz_outer.pth").write_text(PTH.format(paths=paths))
        return environment

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python3*/site-packages")
        return found

    def install(self, *sources: Path | str) -> None:
        """Install wheels or source folders; nothing is fetched."""
        _uv(
            *("pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"),
            *("--python", str(self.python), *map(str, sources)),
            path=self.python.parent,
        )

    def run(self, *words: str | Path, cwd: Path | None = None, **variables: str):
        """Run Python with these arguments; the result has its output as text."""
        return subprocess.run(
            [self.python, *map(str, words)],
            cwd=cwd or self.folder,
            env={**_clean_environ(), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def mar(self, *words: str | Path, cwd: Path | None = None, **variables: str):
        """Run ``mar`` with these arguments."""
        return self.run("-m", "mar_core", *words, cwd=cwd, **variables)


def distribution(
    folder: Path,
    name: str,
    *,
    files: dict[str, str],
    plugins: dict[str, str] | None = None,
    handlers: dict[str, str] | None = None,
    requires: str = "mar-core",
    version: str = "1.0",
) -> Path:
    """Write the sources of a distribution and return their folder.

    Args:
        folder: Where to make it.
        name: The distribution's name.
        files: Modules by file name.
        plugins: Entries of ``mar.plugins``.
        handlers: Entries of ``mar.handlers``.
        requires: Its one dependency.
        version: Its version.
    """
    source = folder / name
    source.mkdir(parents=True)
    for file, text in files.items():
        (source / file).write_text(dedent(text))
    groups = {"mar.plugins": plugins, "mar.handlers": handlers}
    entries = "\n".join(
        f'[project.entry-points."{group}"]\n'
        + "\n".join(f'"{entry}" = "{target}"' for entry, target in offered.items())
        for group, offered in groups.items()
        if offered
    )
    (source / "pyproject.toml").write_text(
        dedent(f"""\
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        [project]
        name = "{name}"
        version = "{version}"
        dependencies = ["{requires}"]
        [tool.hatch.build.targets.wheel]
        include = ["*.py"]
        """)
        + entries
    )
    return source


def _linked(paths: list[str], folder: Path, without: tuple[str, ...]) -> str:
    """A folder of links to what is in these, but for what begins with one of the names."""
    folder.mkdir()
    for found in (found for path in paths for found in Path(path).iterdir()):
        if not found.name.startswith(without):
            (folder / found.name).symlink_to(found)
    return str(folder)


def _clean_environ() -> dict[str, str]:
    """The environment of this process without what would change another Python or mar."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "MAR_", "PYTEST", "VIRTUAL_ENV"))
    }


def _uv(*words: str, path: Path | None = None) -> None:
    environ = _clean_environ()
    if path is not None:
        environ["PATH"] = f"{path}{os.pathsep}{environ.get('PATH', '')}"
    done = subprocess.run(
        [sys.executable, "-m", "uv", *words],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
