"""How every command reads its words: argparse's habits, and the commands of plugins."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from mar_core.errors import PluginError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MarCommand", "MarGroup"]


class MarCommand(TyperCommand):
    """A command that takes unambiguous prefixes of its long options, as argparse does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Expand prefixes, then parse.

        Raises:
            UsageError: A prefix fits several options.
        """
        known = [o for p in self.params for o in (*p.opts, *p.secondary_opts)] + ["--help"]
        return super().parse_args(ctx, list(_expand(args, [o for o in known if o[:2] == "--"])))


class MarGroup(TyperGroup):
    """The group of all commands; a word that is none of them is looked for among the plugins'."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, from mar or else from a plugin.

        Raises:
            UsageError: Nobody has such a command.
        """
        command = super().get_command(ctx, cmd_name) or plugin_commands().get(cmd_name)
        if command is None:
            near = difflib.get_close_matches(cmd_name, list(self.commands), n=1)
            hint = f"Did you mean `mar {near[0]}`?" if near else "See `mar --help`."
            raise UsageError(f"There is no command {cmd_name!r}.", hint=hint)
        return command


def plugin_commands() -> dict[str, Any]:
    """The commands that plugins register, by name.

    Raises:
        PluginError: Two plugins register one name.
    """
    import typer
    from typer.main import get_command

    from mar_core.plugins import get_plugins

    owners: dict[str, str] = {}
    commands: dict[str, Any] = {}
    for implementation in get_plugins().manager.hook.mar_register_commands.get_hookimpls():
        app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
        app.callback()(lambda: None)  # keeps a single command a command of a group
        implementation.function(app=app)
        owner = implementation.plugin_name
        for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
            if name in commands:
                raise PluginError(
                    f"The command {name!r} is registered by {owners[name]} and {owner}.",
                    hint=f"Switch one off: `MAR_DISABLED_PLUGINS={owner} mar {name}`.",
                )
            owners[name], commands[name] = owner, command
    return commands


def _expand(args: Iterable[str], known: list[str]) -> Iterable[str]:
    words = iter(args)
    for word in words:
        if word == "--":
            yield word
            yield from words
            return
        flag, equals, value = word.partition("=")
        matches = sorted({option for option in known if option.startswith(flag)})
        if not flag.startswith("--") or flag in known or not matches:
            yield word
        elif len(matches) == 1:
            yield f"{matches[0]}{equals}{value}"
        else:
            raise UsageError(f"The option {flag} could be {', '.join(matches)}.")
