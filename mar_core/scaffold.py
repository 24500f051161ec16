"""``mar new``: a handler package made from the template that ships with mar."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import importlib_metadata

from mar_core.errors import UsageError
from mar_core.plugins import HANDLER_GROUP, find_entries

__all__ = [
    "KINDS",
    "Project",
    "check_handler_name",
    "check_project",
    "create_project",
    "template_dir",
]

KINDS = ("vision", "text", "tensor", "function")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
PROJECT_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 30
LONGEST_TEXT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a handler package is made from.

    Attributes:
        handler_name: What users will type after ``--handler``.
        kind: One of ``KINDS``.
        project_name: The package's name; ``mar-`` and the handler's name when empty.
        description: One sentence.
        author: For ``pyproject.toml`` and the licence.
    """

    handler_name: str
    kind: str = "vision"
    project_name: str = ""
    description: str = "A handler for mar."
    author: str = "Your Name"

    @property
    def name(self) -> str:
        """The package's name."""
        return self.project_name or f"mar-{self.handler_name.replace('_', '-')}"

    @property
    def answers(self) -> dict[str, str]:
        """The template's questions and what to answer."""
        description = self.description.strip()
        return {
            "handler_name": self.handler_name,
            "kind": self.kind,
            "project_name": self.name,
            "description": description if description.endswith(".") else f"{description}.",
            "author_name": self.author.strip(),
        }


def template_dir() -> Path:
    """Where the template is: in the installed package, or beside it in a checkout."""
    installed = Path(__file__).parent / "_template"
    return installed if installed.is_dir() else Path(__file__).parents[1] / "cookiecutter-handler"


def check_handler_name(name: str) -> None:
    """Refuse a name that would not work as a handler's.

    Raises:
        UsageError: The sentence says why, and what would do.
    """
    if not NAME.fullmatch(name):
        _refuse(name, "must be lower-case letters, digits and single '_', and begin with a letter")
    if len(name) > LONGEST_NAME:
        _refuse(name, f"has {len(name)} characters; at most {LONGEST_NAME} fit")
    if name.startswith("mar_"):
        _refuse(name, f"begins with 'mar_', which the package's name gets anyway: {name[4:]!r}")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        _refuse(name, "is a word of Python's own")
    if name in sys.stdlib_module_names:
        _refuse(name, "is a module of Python's standard library")
    if _is_installed(f"mar-{name}"):  # it would replace that one
        _refuse(name, f"would make the package mar-{name}, which there is already")
    if any(entry.is_ours and entry.name == name for entry in find_entries(HANDLER_GROUP)):
        _refuse(name, "is a handler that comes with mar")


def create_project(project: Project, folder: Path) -> Path:
    """Make a handler package; nothing is left behind when that fails.

    Args:
        project: What to make.
        folder: Where to put the package's folder.

    Returns:
        The package's folder.

    Raises:
        UsageError: A name or text would not work, the folder is there, or cookiecutter is missing.
    """
    check_project(project)
    target = folder / project.name
    if target.exists():
        raise UsageError(f"{target} exists.", hint="Choose another name or --output-dir.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mar-new-", dir=folder) as scratch:
        return _render(project, Path(scratch)).rename(target)


def check_project(project: Project) -> None:
    """Refuse what would not work.

    Raises:
        UsageError: The sentence says what, and what would do.
    """
    check_handler_name(project.handler_name)
    if project.kind not in KINDS:
        raise UsageError(f"There is no kind {project.kind!r}.", hint=f"Use {', '.join(KINDS)}.")
    name = project.name
    if not PROJECT_NAME.fullmatch(name) or len(name) > LONGEST_NAME + len("mar-"):
        raise UsageError(
            f"The package name {name!r} must be lower-case letters, digits and single '-', "
            f"begin with a letter, and be {LONGEST_NAME + 4} characters at most.",
            hint="Give another one with --project-name.",
        )
    if name.replace("-", "_") in {*sys.stdlib_module_names, *keyword.kwlist, "mar_core", "network"}:
        raise UsageError(f"The package name {name!r} would hide a module of that name.")
    if _is_installed(name):
        raise UsageError(f"A package {name} is installed here already.")
    for flag, text in {"--description": project.description, "--author": project.author}.items():
        _check_text(flag, text)


def _is_installed(distribution: str) -> bool:
    try:
        return bool(importlib_metadata.version(distribution))
    except importlib_metadata.PackageNotFoundError:
        return False


def _check_text(flag: str, text: str) -> None:
    """A text lands in Python, TOML and Markdown, and goes through the template engine."""
    bad = [mark for mark in ('"', "\\", "{{", "{%", "{#") if mark in text]
    if bad or not text.strip() or not text.isprintable() or len(text) > LONGEST_TEXT:
        raise UsageError(
            f"{flag} must be one line of 1 to {LONGEST_TEXT} characters without '\"', '\\' "
            "and '{{'."
        )


def _render(project: Project, scratch: Path) -> Path:
    cookiecutter = _engine()
    # pip compiles what a wheel holds, and the engine would copy that into the package.
    template = scratch / "template"
    shutil.copytree(template_dir(), template, ignore=shutil.ignore_patterns("__pycache__"))
    made = cookiecutter(
        str(template),
        no_input=True,
        extra_context=project.answers,
        output_dir=str(scratch),
        # Not the user's settings, and nothing kept in the user's home.
        default_config={key: str(scratch / key) for key in ("cookiecutters_dir", "replay_dir")},
        accept_hooks=False,
    )
    return Path(made)


def _engine() -> Any:
    try:
        from cookiecutter.main import cookiecutter
    except ImportError as error:
        raise UsageError(
            "`mar new` needs cookiecutter.", hint="Install it: `pip install 'mar-core[new]'`."
        ) from error
    return cookiecutter


def _refuse(name: str, why: str) -> NoReturn:
    raise UsageError(
        f"The handler name {name!r} {why}.", hint="Choose another, such as 'digit_reader'."
    )
