"""How every command reads its words: argparse's habits, sentences, and the commands of plugins."""

from __future__ import annotations

import contextlib
import difflib
import errno
import functools
import itertools
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from mar_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


__all__ = [
    "MarCommand", "MarGroup", "RunCommand", "check_given", "convert_plainly", "sentences",
]  # fmt: skip

# What makes a path one that cannot even be looked at, wherever a command first tries.
_PATHS_FAULTS = {
    errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR,
}  # fmt: skip
_LONGEST_PATH = 200

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
        near = difflib.get_close_matches(cmd_name, [*self.commands, *offered], n=1)
        hint = f"Did you mean `mar {near[0]}`?" if near else "See `mar --help`."
        raise UsageError(f"There is no command {cmd_name!r}.", hint=hint)

    @functools.cached_property
    def _seen(self) -> dict[str, Any]:
        """Commands of plugins that help has listed."""
        return {}

    def _offered(self, *, for_help: bool = False) -> dict[str, Any]:
        from mar_core.cli.plugin_commands import plugin_commands

        self._seen.update(plugin_commands(frozenset(self.commands), for_help=for_help))
        return self._seen


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
