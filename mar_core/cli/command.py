"""How every command reads its words: argparse's habits, sentences, and the commands of plugins."""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import itertools
import os
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from mar_core.errors import PluginError, UsageError
from mar_core.text import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mar_core.plugins import Plugins

__all__ = [
    "MarCommand", "MarGroup", "PluginGroup", "RunCommand", "check_given", "convert_plainly",
    "sentences",
]  # fmt: skip

# What makes a path one that cannot even be looked at, wherever a command first tries.
_PATHS_FAULTS = {
    errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR,
}  # fmt: skip
_LONGEST_PATH = 200
_PANEL = "From plugins"

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
        _check_needed(self.params, words, ctx)
        with sentences(ctx):
            return super().parse_args(ctx, words)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as help shows them."""
        return _tidy(super().get_params(ctx))


class RunCommand(MarCommand):
    """``mar run``: an engine may have options of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Turn the engine's options into ``--engine-option NAME=VALUE``, then parse.

        Raises:
            UsageError: An option is missing, unknown or wrong.
        """
        return super().parse_args(ctx, _as_engine_options(args))


class MarGroup(TyperGroup):
    """The group of all commands; a word that is none of them is looked for among the plugins'."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before the command.

        Raises:
            UsageError: An option is unknown.
        """
        if not args:  # shows the help
            return super().parse_args(ctx, args)
        with sentences(ctx):
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
        except OSError as error:
            if error.filename is None or error.errno not in _PATHS_FAULTS:
                raise
            raise UsageError(
                f"{str(error.filename)[:_LONGEST_PATH]} cannot be used: {error.strerror}.",
                hint="Check the path and the rights.",
            ) from error

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, as help lists them: mar's own, then those of plugins."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in self._offered(for_help=True) if name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, from mar or else from a plugin.

        Raises:
            UsageError: Nobody has such a command.
            PluginError: Two plugins have one of that name.
        """
        command = super().get_command(ctx, cmd_name) or self._seen.get(cmd_name)
        if command is not None:
            return command
        offered = self._offered()
        if cmd_name in offered:
            return offered[cmd_name]
        hint = suggestion(cmd_name, [*self.commands, *offered], "`mar {}`") or "See `mar --help`."
        raise UsageError(f"There is no command {cmd_name!r}.", hint=hint)

    @functools.cached_property
    def _seen(self) -> dict[str, Any]:
        """Commands of plugins that help has listed."""
        return {}

    def _offered(self, *, for_help: bool = False) -> dict[str, Any]:
        self._seen.update(_plugin_commands(frozenset(self.commands), for_help=for_help))
        return self._seen


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
            path = ctx.command_path
            hint = suggestion(cmd_name, self.commands, f"`{path} {{}}`") or f"See `{path} --help`."
            raise UsageError(f"There is no command {cmd_name!r}.", hint=hint)
        return command


def _plugin_commands(taken: frozenset[str], *, for_help: bool = False) -> dict[str, Any]:
    """The commands that plugins offer, by name.

    Args:
        taken: The names that mar itself has; a plugin's command of such a name is left out with a
            warning that names the plugin.
        for_help: Load only the plugins whose source names the hook: help must stay quick.

    Returns:
        The commands; one whose name two plugins offer says so when it is run.
    """
    from mar_core.plugins import PluginWarning, get_plugins
    from mar_core.plugins.commands import new_app, take_commands

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
    from mar_core.plugins import PluginWarning, disabled_names, load_plugins
    from mar_core.plugins.commands import offers_commands

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


@contextlib.contextmanager
def sentences(ctx: Any) -> Iterator[None]:
    """Turn typer's errors into ours: a line in place of a box."""
    try:
        yield
    except _BadUsage as error:
        # pydantic, which typer asks, says of what kind its own error is.
        message = error.format_message().rstrip(".").replace(" Value error, ", " ")
        message = re.sub(r"Input should be (a valid \w+).*", r"it must be \1", message)
        at_least = r"Input should be greater than or equal to (\S+)"
        message = re.sub(at_least, r"it must be \1 or more", message)
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


def _as_engine_options(args: list[str]) -> list[str]:
    engine = _value_of("--engine", args)
    if engine in {None, "local"}:
        return args
    from mar_core.plugins import get_plugins

    offers = get_plugins().engines().get(engine or "", [])
    names = {option.name for offer in offers for option in offer.options}
    words: list[str] = []
    left = iter(args)
    for word in left:
        name, equals, value = word.partition("=")
        if word == "--":
            return [*words, word, *left]
        if name not in names:
            words.append(word)
            continue
        if not equals and (following := next(left, None)) is None:
            raise UsageError(f"Option '{name}' requires an argument.")
        value = value if equals else str(following)
        words += ["--engine-option", f"{name.removeprefix('--')}={value}"]
    return words


def _value_of(option: str, args: list[str]) -> str | None:
    for word, following in itertools.pairwise([*args, ""]):
        name, equals, value = word.partition("=")
        if name == option:
            return value if equals else following
    return None


def _check_needed(params: list[Any], words: list[str], ctx: Any) -> None:
    """Name every option that is missing; typer names the first.

    Raises:
        UsageError: Two or more are missing.
    """
    if ctx.resilient_parsing or {"-h", "--help"} & set(words):
        return
    given = {word.partition("=")[0] for word in words} | {word[:2] for word in words}
    missing = [
        param.opts[0] if param.opts[0].startswith("--") else param.opts[-1]
        for param in params
        if param.param_type_name == "option" and param.required and not given & set(param.opts)
    ]
    if len(missing) > 1:
        raise _missing(missing, ctx.command_path)


def check_given(options: Mapping[str, Any], *, command: str) -> None:
    """Refuse to go on without options that only some uses of a command need.

    Args:
        options: Their values by their names; None stands for one that was not given.
        command: The command.

    Raises:
        UsageError: One is missing.
    """
    missing = [name for name, value in options.items() if value is None]
    if missing:
        raise _missing(missing, command)


def _missing(names: list[str], command: str) -> UsageError:
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else f"'{names[0]}'"
    word = "options" if names[1:] else "option"
    return UsageError(f"Missing {word} {listed}.", hint=f"See `{command} --help`.")


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


# typer converts every value through pydantic, which takes longer to import than a quick command
# takes for everything else. Texts, paths, defaults and what was not given do not need it; all other
# values are left to typer.


def convert_plainly(param: Any) -> None:
    """Let one parameter of a command convert texts and paths by itself.

    Args:
        param: The parameter; one that is not as this typer makes them stays as it is.
    """
    descriptor = getattr(param, "type_descriptor", None)
    typers_own = getattr(param, "get_runtime_param", None)
    if descriptor is None or typers_own is None or "get_runtime_param" in vars(param):
        return
    asked = descriptor.parameter_info
    if asked.exists or asked.resolve_path or asked.parser:
        return
    plain = _Plain(descriptor.annotation, typers_own)
    param.get_runtime_param = lambda: plain


class _Plain:
    """Stands where typer looks for its own converter."""

    def __init__(self, annotation: Any, typers_own: Callable[[], Any]) -> None:
        self._typers_own = typers_own
        self._kind = annotation
        self._choices: tuple[Any, ...] = ()
        if get_origin(annotation) is Literal:
            self._choices = get_args(annotation)
        elif get_origin(annotation) is list:
            self._kind = get_args(annotation)[0]

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        if self._kind in {str, Path}:
            return [self._kind(word) for word in value] if several else self._kind(value)
        if value in self._choices or type(value) is self._kind:
            return value
        return self._typers_own().coerce(value, param=param, ctx=ctx)
