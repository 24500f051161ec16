"""How every command reads its words: argparse's habits, sentences, and the commands of plugins."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mar_core.cli.values import convert_plainly
from mar_core.errors import PluginError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MarCommand", "MarGroup"]

# What typer raises for a word that it cannot use; it makes only this subclass of it public.
_BadUsage: Any = typer.BadParameter.__base__


class MarCommand(TyperCommand):
    """A command that takes unambiguous prefixes of its long options, as argparse does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Expand prefixes, then parse.

        Raises:
            UsageError: An option is missing, unknown or wrong, or a prefix fits several.
        """
        known = [o for p in self.params for o in (*p.opts, *p.secondary_opts)] + ["--help"]
        words = list(_expand(args, [o for o in known if o[:2] == "--"]))
        with _sentences(ctx):
            return super().parse_args(ctx, words)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as help shows them."""
        return _tidy(super().get_params(ctx))


class MarGroup(TyperGroup):
    """The group of all commands; a word that is none of them is looked for among the plugins'."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before the command.

        Raises:
            UsageError: An option is unknown.
        """
        if not args:  # shows the help
            return super().parse_args(ctx, args)
        with _sentences(ctx):
            return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as help shows them."""
        return _tidy(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; that the reader of a pipe leaves, as ``| head`` does, is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # What is still in Python's buffer must not be tried again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit from None

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
    app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
    app.callback()(lambda: None)  # keeps a single command a command of a group
    for owner in get_plugins().ask_each("mar_register_commands", app=app):
        for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
            if name in commands:
                raise PluginError(
                    f"The command {name!r} is registered by {owners[name]} and {owner}.",
                    hint=f"Switch one off: `MAR_DISABLED_PLUGINS={owner} mar {name}`.",
                )
            owners[name], commands[name] = owner, command
        app.registered_commands.clear()
        app.registered_groups.clear()
    return commands


@contextlib.contextmanager
def _sentences(ctx: Any) -> Iterator[None]:
    """Turn typer's errors into ours: a line in place of a box."""
    try:
        yield
    except _BadUsage as error:
        message = error.format_message().rstrip(".")
        raise UsageError(f"{message}.", hint=f"See `{ctx.command_path} --help`.") from error


def _tidy(params: list[Any]) -> list[Any]:
    """Show arguments as they are typed, and no type for a flag that takes no value."""
    for param in params:
        convert_plainly(param)
        if param.param_type_name == "argument":
            _tidy_argument(param)
        elif param.is_flag and param.metavar is None:
            param.metavar = ""
    return params


def _tidy_argument(param: Any) -> None:
    if param.metavar is None:
        name = param.name.upper()
        param.metavar = name if param.required else f"[{name}]"
    param.get_usage_pieces = lambda _ctx: [param.metavar]
    param.display_type_rich = lambda **_: None


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
