"""What is installed and in which state: from metadata alone, or by importing it elsewhere."""

from __future__ import annotations

import importlib.util
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from mar_core.errors import PluginError, UsageError
from mar_core.plugins.entry_points import (
    HANDLER_GROUP,
    PLUGIN_GROUP,
    EntryInfo,
    clash_hint,
    find_entries,
    join,
    rivals,
    unreadable_distributions,
)
from mar_core.plugins.load import disabled_names, get_plugins, is_disabled
from mar_core.plugins.manager import hook_names
from mar_core.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "EntryStatus",
    "HookUse",
    "check_entries",
    "hook_uses",
    "last_words",
    "list_entries",
    "python",
]

CHECK_SECONDS = 120
_LAST_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryStatus:
    """One handler or plugin and how it is.

    Attributes:
        name: The name that users type.
        kind: ``handler``, ``plugin`` or ``distribution`` where its entry points cannot be read.
        distribution: The distribution that offers it.
        version: That distribution's version.
        target: ``module:attribute``.
        state: ``available``, ``blocked``, ``clash``, ``broken``, or, after a check, ``loaded``.
        reason: Why it is not available, and what to do; empty when it is.
        provides: After a check: the hooks that a plugin implements, or what a handler is.
        seconds: After a check: how long its import took.
    """

    name: str
    kind: str
    distribution: str
    version: str
    target: str
    state: str = "available"
    reason: str = ""
    provides: tuple[str, ...] = ()
    seconds: float | None = None

    @property
    def is_good(self) -> bool:
        """Whether it can be used, or was switched off on purpose."""
        return self.state in {"available", "loaded", "blocked"}

    def to_dict(self) -> dict[str, Any]:
        """The status as plain JSON values."""
        return {**asdict(self), "provides": list(self.provides)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HookUse:
    """One plugin's implementation of a hook.

    Attributes:
        hook: The hook's name.
        plugin: The plugin's name.
        wrapper: Whether it surrounds the others.
        function: ``module:line`` of the function.
    """

    hook: str
    plugin: str
    wrapper: bool
    function: str


def list_entries() -> list[EntryStatus]:
    """Every installed handler and plugin with its state, without importing any."""
    entries = find_entries(HANDLER_GROUP) + find_entries(PLUGIN_GROUP)
    disabled = disabled_names()
    statuses = [_status_of(entry, entries, disabled) for entry in entries]
    for name, reason in unreadable_distributions():
        distribution, _, version = name.rpartition(" ")
        statuses.append(
            EntryStatus(
                name=distribution,
                kind="distribution",
                distribution=distribution,
                version=version,
                target="",
                state="broken",
                reason=f"{reason} Reinstall or remove it: `pip uninstall {distribution}`.",
            )
        )
    return statuses


def check_entries(statuses: list[EntryStatus]) -> list[EntryStatus]:
    """Import every available entry in a process apart and try what can be tried.

    They share one, in which what many of them need, such as torch, is imported once. One that ends
    it, or takes too long, ends it for itself alone: the others go on in a new one. One that fails
    in company is tried alone, so that it answers for nobody else's deeds.

    Args:
        statuses: What ``list_entries`` returned.

    Returns:
        The same, where ``available`` has become ``loaded`` or ``broken``.
    """
    wanted = [status for status in statuses if status.state == "available"]
    found: dict[int, EntryStatus] = {}
    left, alone = list(wanted), []
    while left:
        answers = _tried(left)
        alone += [one for one, answer in zip(left[1:], answers[1:], strict=False) if _fails(answer)]
        found |= {id(one): answer for one, answer in zip(left, answers, strict=False)}
        left = left[len(answers) :]
    found |= {id(one): _tried([one])[0] for one in alone}
    return [found.get(id(status), status) for status in statuses]


def _fails(status: EntryStatus) -> bool:
    """Whether it is broken, and worth trying again: not where that takes minutes."""
    return status.state == "broken" and (status.seconds or 0) < CHECK_SECONDS


def hook_uses(hook: str) -> list[HookUse]:
    """Which installed plugins implement a hook, in the order in which they are called.

    Raises:
        UsageError: There is no such hook.
    """
    if hook not in hook_names():
        near = nearest(hook, hook_names(), most=3) or hook_names()
        raise UsageError(f"There is no hook {hook!r}.", hint=f"There is {', '.join(near)}.")
    implementations = reversed(vars(get_plugins().manager.hook)[hook].get_hookimpls())
    return [
        HookUse(
            hook=hook,
            plugin=implementation.plugin_name,
            wrapper=implementation.wrapper or implementation.hookwrapper,
            function=_place(implementation.function),
        )
        for implementation in implementations
    ]


def _status_of(entry: EntryInfo, entries: list[EntryInfo], disabled: set[str]) -> EntryStatus:
    state, reason = "available", ""
    for found in _faults(entry, entries):
        state, reason = found
        break
    if entry.group == PLUGIN_GROUP and is_disabled(entry, disabled):
        state, reason = "blocked", "MAR_DISABLED_PLUGINS or --no-plugins switches it off."
    return EntryStatus(
        name=entry.name,
        kind=entry.kind,
        distribution=entry.distribution,
        version=entry.version,
        target=entry.target,
        state=state,
        reason=reason,
    )


def _faults(entry: EntryInfo, entries: list[EntryInfo]) -> Iterator[tuple[str, str]]:
    same = rivals(entry, entries)
    if len(same) > 1:
        yield "clash", f"The name is offered by {join(same)}. {clash_hint(same)}"
    try:
        entry.check_host()
    except PluginError as error:
        yield "broken", str(error)
    top = entry.module.partition(".")[0]
    if top not in sys.modules and importlib.util.find_spec(top or "?") is None:
        yield "broken", f"There is no module {top!r}. Reinstall {entry.distribution}."


def _tried(statuses: list[EntryStatus]) -> list[EntryStatus]:
    """What one process finds out, up to the one that ends it, which is the last that is told."""
    entries = [(status.kind, status.name, status.distribution) for status in statuses]
    command = python("mar_core.plugins.trial", json.dumps(entries))
    told: list[EntryStatus] = []
    with tempfile.TemporaryFile() as said:
        # The child talks JSON on standard output; what plugins print goes to its standard error.
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        )
        try:
            for status, line in zip(statuses, _lines(child), strict=False):
                answer = json.loads(line)
                told.append(replace(status, **{**answer, "provides": tuple(answer["provides"])}))
        finally:
            late = child.poll() is None and len(told) < len(statuses)
            child.kill()
            child.wait()
        if len(told) < len(statuses):
            reason = f"It takes over {CHECK_SECONDS} s to import." if late else _end_of(child, said)
            seconds = CHECK_SECONDS if late else None
            one = statuses[len(told)]
            told.append(replace(one, state="broken", reason=reason, seconds=seconds))
    return told


def _lines(child: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """What a child says, a line for each entry, until it is silent for too long or has ended.

    That it has ended is asked of itself: what a plugin has forked may hold its pipe open.
    """
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    pipe = child.stdout
    assert pipe is not None  # noqa: S101 - it was asked for

    def read() -> None:
        with pipe:
            for line in pipe:
                lines.put(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    heard = time.monotonic()
    while time.monotonic() - heard < CHECK_SECONDS:
        ended = child.poll() is not None
        if ended:
            reader.join(_LAST_SECONDS)
        try:
            yield lines.get(timeout=0 if ended else _LAST_SECONDS)
        except queue.Empty:
            if ended:
                return
        else:
            heard = time.monotonic()


def _end_of(child: subprocess.Popen[bytes], said: IO[bytes]) -> str:
    said.seek(0)
    text = said.read().decode(errors="replace")
    return last_words(subprocess.CompletedProcess(child.args, child.returncode, "", text))


def python(module: str, *words: str) -> list[str]:
    """The command that runs a module of ours in a process of its own.

    ``-P`` keeps the current folder out of ``sys.path``: it may be an unpacked archive, whose
    ``json.py`` or ``torch.py`` must not be imported by whoever only looks at it.

    Args:
        module: The module.
        *words: Its arguments.
    """
    return [sys.executable, "-P", "-m", module, *words]


def last_words(child: subprocess.CompletedProcess[str]) -> str:
    """Why a process that imported something ended badly, in a sentence."""
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        return f"The process that imported it died of {name}."
    last = (child.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return f"The process that imported it exited with {child.returncode}: {last}."


def _place(function: Any) -> str:
    code = getattr(function, "__code__", None)
    module = getattr(function, "__module__", "?")
    return f"{module}:{code.co_firstlineno}" if code else module
