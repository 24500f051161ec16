"""Builds every distribution, and checks what was built: `make dist`, the tests, and the release.

Usage: python .ci/dist.py [FOLDER] [--full]

For mar-core and each plugin: an sdist, the wheel that is built from it, the files in both, and the
metadata by twine. Then all wheels go into an empty environment, where `mar` must start and find the
plugins: with all that they depend on (--full), or with what this environment has.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE, IN_WHEEL = "cookiecutter-handler", "mar_core/_template"
# What an sdist holds beside its sources: hatchling adds the last two.
PAPERS = ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml")
ADDED = {"PKG-INFO", ".gitignore"}


def distributions() -> list[Path]:
    """The folders of all distributions: mar-core's first."""
    return [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def name_of(source: Path) -> str:
    """A distribution's name."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["name"])


def build(source: Path, folder: Path) -> tuple[Path, Path]:
    """Build an sdist, and the wheel from it.

    Args:
        source: The distribution's folder.
        folder: Where to put them.
    """
    flags = ["--quiet", "--no-build-isolation", "--offline", "--out-dir", str(folder)]
    command = [sys.executable, "-m", "uv", "build", *flags, str(source)]
    subprocess.run(command, check=True, env={**os.environ, "VIRTUAL_ENV": sys.prefix})
    stem = name_of(source).replace("-", "_")
    (sdist,) = folder.glob(f"{stem}-*.tar.gz")
    (wheel,) = folder.glob(f"{stem}-*.whl")
    return sdist, wheel


def tracked(source: Path, *folders: str) -> set[str]:
    """The files below these folders that git knows or would take, seen from the source."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if (source / name).exists()}


def wheel_files(wheel: Path) -> set[str]:
    """The files of a wheel without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def sdist_files(sdist: Path) -> set[str]:
    """The files of an sdist without those that its builder adds."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    return names - ADDED


def meant_for_wheel(source: Path) -> set[str]:
    """The files that a wheel is meant to hold."""
    if source != ROOT:
        return {name.removeprefix("src/") for name in tracked(source, "src")}
    template = {name.replace(TEMPLATE, IN_WHEEL, 1) for name in tracked(source, TEMPLATE)}
    return tracked(source, "mar_core", "builtin_handlers") | template


def meant_for_sdist(source: Path) -> set[str]:
    """The files that an sdist is meant to hold."""
    if source != ROOT:
        return tracked(source, ".")
    return tracked(source, "mar_core", "builtin_handlers", TEMPLATE, *PAPERS)


def differences(source: Path, sdist: Path, wheel: Path) -> list[str]:
    """What lacks in the files that were built, and what is too much."""
    pairs = (
        (wheel.name, wheel_files(wheel), meant_for_wheel(source)),
        (sdist.name, sdist_files(sdist), meant_for_sdist(source)),
    )
    return [
        f"{built}: {word} {name}"
        for built, found, meant in pairs
        for word, names in (("lacks", meant - found), ("should not have", found - meant))
        for name in sorted(names)
    ]


def try_out(wheels: list[Path], folder: Path, *, full: bool) -> list[str]:
    """Install wheels into an empty environment and start mar there.

    Args:
        wheels: All of them.
        folder: Where the environment goes.
        full: Install what they depend on, too; else it comes from this environment.

    Returns:
        What is wrong.
    """
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    names = [str(wheel) for wheel in wheels]
    subprocess.run([*install, *([] if full else ["--no-deps", "--offline"]), *names], check=True)
    # mar itself does not come from here: an editable install is a .pth file, which is read in site
    # folders only.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if not full:
        environment["PYTHONPATH"] = sysconfig.get_path("purelib")
    problems = []
    for command, expected in (
        (["mar", "--version"], "mar 0."),
        (["mar", "plugins", *(["--check"] if full else [])], "mar-onnx"),
        (["python", "-c", "import mar_core; print(mar_core.__file__)"], str(folder)),
    ):
        program = str(folder / "bin" / command[0])
        done = subprocess.run(
            [program, *command[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or expected not in done.stdout:
            problems.append(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return problems


def main() -> int:
    """Build and check everything; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist")
    parser.add_argument("--full", action="store_true", help="install all dependencies, too")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    problems, built = [], []
    for source in distributions():
        sdist, wheel = build(source, folder)
        built += [sdist, wheel]
        problems += differences(source, sdist, wheel)
        print(f"{sdist.name}  {wheel.name}  {len(wheel_files(wheel))} files")
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)]
    if subprocess.run(check, check=False).returncode:
        problems.append("twine check fails")
    environment = folder / "environment"
    problems += try_out(built[1::2], environment, full=arguments.full)
    shutil.rmtree(environment)
    for problem in problems:
        print(f"dist: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
