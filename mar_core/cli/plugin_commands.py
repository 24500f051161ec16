"""The commands that plugins add: collected, and made to speak as mar's own do."""

from __future__ import annotations

import difflib
import inspect
import warnings
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mar_core.cli.command import MarCommand, sentences
from mar_core.errors import PluginError, UsageError
from mar_core.plugins import PluginWarning, disabled_names, get_plugins, load_plugins
from mar_core.plugins.commands import new_app, offers_commands, take_commands

if TYPE_CHECKING:
    from mar_core.plugins import Plugins

__all__ = ["PluginGroup", "plugin_commands"]

_PANEL = "From plugins"


class PluginGroup(TyperGroup):
    """A group of commands that a plugin adds; it speaks as mar does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before the command.

        Raises:
            UsageError: An option is unknown.
        """
        with sentences(ctx):
            return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name.

        Raises:
            UsageError: There is none.
        """
        command = super().get_command(ctx, cmd_name)
        if command is None:
            near = difflib.get_close_matches(cmd_name, list(self.commands), n=1)
            path = ctx.command_path
            hint = f"Did you mean `{path} {near[0]}`?" if near else f"See `{path} --help`."
            raise UsageError(f"There is no command {cmd_name!r}.", hint=hint)
        return command


def plugin_commands(taken: frozenset[str], *, for_help: bool = False) -> dict[str, Any]:
    """The commands that plugins offer, by name.

    Args:
        taken: The names that mar itself has; a plugin's command of such a name is left out with a
            warning that names the plugin.
        for_help: Load only the plugins whose source names the hook: help must stay quick.

    Returns:
        The commands; one whose name two plugins offer says so when it is run.
    """
    plugins = _those_with_commands() if for_help else get_plugins()
    owners: dict[str, str] = {}
    commands: dict[str, Any] = {}
    app = new_app()
    for owner in plugins.register_commands(app):
        for name, command in take_commands(app, prepare=_as_ours).items():
            if name in taken:
                message = f"The plugin {owner} offers the command {name!r}, which is mar's own"
                warnings.warn(f"{message}; it is left out.", PluginWarning, stacklevel=2)
            elif name in commands:
                commands[name] = _clash(name, (owners[name], owner))
            else:
                owners[name], commands[name] = owner, command
    return commands


def _those_with_commands() -> Plugins:
    plugins = load_plugins(disabled=disabled_names(), wanted=offers_commands)
    for failure in plugins.failures:
        warnings.warn(failure.reason, PluginWarning, stacklevel=2)
    return plugins


def _clash(name: str, owners: tuple[str, str]) -> Any:
    """What stands for a command that two plugins offer."""
    first, second = owners
    app = typer.Typer()

    def refuse() -> None:
        raise PluginError(
            f"The command {name!r} is registered by {first} and {second}.",
            hint=f"Switch one off: `MAR_DISABLED_PLUGINS={second} mar {name}`.",
        )

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    text = f"Offered by the plugins {first} and {second}: one of them has to go."
    app.command(name, help=text, context_settings=settings)(refuse)
    return typer.main.get_command(app)


def _as_ours(app: typer.Typer) -> None:
    """Let a plugin's commands take prefixes of options, and say what is wrong in a sentence."""
    for command in app.registered_commands:
        if command.cls in {None, TyperCommand}:
            command.cls = MarCommand
        if not isinstance(command.rich_help_panel, str):
            command.rich_help_panel = _PANEL
    for group in app.registered_groups:
        if not inspect.isclass(group.cls) or group.cls is TyperGroup:
            group.cls = PluginGroup
        if not isinstance(group.rich_help_panel, str):
            group.rich_help_panel = _PANEL
        if group.typer_instance is not None:
            _as_ours(group.typer_instance)
