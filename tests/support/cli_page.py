"""docs/reference/cli.md, made from the commands themselves.

``python tests/support/cli_page.py`` writes it again.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from typer import Context
from typer.main import get_command

from mar_core.cli import COMMANDS, app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
HEAD = """\
# The commands

Every command and every option, as `mar COMMAND --help` shows them. Plugins may add commands.

- Long options may be shortened where it is clear which is meant: `mar archive --model-n mnist`.
- Results go to standard output; progress, warnings and errors to standard error.
- `--json`, where a command has it, is for programs.
- A terminal gets tables; a pipe gets plain lines.
- [Exit codes](errors.md) are the same for all: 0, 1 when some of it failed, 2 when nothing was
  done.
- [Environment variables](environment.md) set what is the same for every command.
"""
SKIPPED = {"help", "install_completion", "show_completion"}


def page() -> str:
    """The whole page."""
    group = get_command(app)
    context = Context(group, info_name="mar")
    parts = [HEAD, *_section("mar", group, context)]
    for name in COMMANDS:
        command = group.commands[name]
        inner = Context(command, info_name=name, parent=context)
        parts += _section(f"mar {name}", command, inner)
    return "\n".join(parts)


def _section(title: str, command: Any, context: Any) -> list[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = inspect.cleandoc(command.help)
    params = [p for p in command.get_params(context) if p.name not in SKIPPED]
    parts = [f"## {title}", "", "```text", usage, "```", "", text, ""]
    panels: dict[str, list[str]] = {}
    for param in params:
        panels.setdefault(param.rich_help_panel or "", []).append(_row(param))
    for panel, rows in panels.items():
        parts += [f"**{panel}**", ""] if panel else []
        parts += ["| | |", "| --- | --- |", *rows, ""]
    return parts


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        name = f"`{param.metavar}`"
    else:
        metavar = param.metavar if param.metavar is not None else _choices(param)
        names = ", ".join(f"`{option}`" for option in [*param.opts, *param.secondary_opts])
        name = f"{names} `{metavar}`" if metavar else names
    required = " Required." if param.required and param.param_type_name == "option" else ""
    cells = (name, f"{param.help or ''}{required}{_default(param)}")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _choices(param: Any) -> str:
    """What the option takes, where it says nothing itself."""
    choices = param.type_descriptor.choices
    return "|".join(map(str, choices)) if choices else param.name.upper()


def _default(param: Any) -> str:
    """The default, where it says something."""
    default = param.default
    shown = default is not None and default is not False and default != () and param.show_default
    return f" By default `{default}`." if shown and str(default) != "." else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
