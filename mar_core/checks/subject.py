"""The archive under examination, with what several rules want to know about it worked out once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError, PluginError
from mar_core.format.manifest import MANIFEST_NAME, Manifest
from mar_core.format.yamltext import MAX_BYTES, YamlFault, read_yaml
from mar_core.handlers.entry import find_entry, loads_like_base_handler
from mar_core.handlers.lookup import FoundHandler, look_up
from mar_core.handlers.source import BINARY, Module, SourceFault, is_binary, parse_module
from mar_core.plugins import HOST
from mar_core.weights import Allowance, TooCostlyError, examine, seekable, weights_formats
from mar_core.weights.registry import unexamined

if TYPE_CHECKING:
    from mar_core.format import Archive
    from mar_core.plugins import Plugins
    from mar_core.weights import WeightsFormat, WeightsReport

__all__ = ["LOCK", "SCRIPT_OPENING", "Subject"]

LOCK = "pylock.toml"
_MAX_SOURCE = 4 << 20
_HEAD = 4096
_MAX_SCRIPT = 1 << 20
SCRIPT_OPENING = "# /// script"  # of PEP 723, in a handler's own file


class Subject:
    """An archive that rules look at.

    Args:
        archive: The archive, open.
        plugins: The plugins whose formats of weights are known; by default those installed.

    Attributes:
        archive: The same.
        manifest_fault: Why the manifest cannot be read, or None.
        manifest: The manifest; an empty one where it cannot be read.
    """

    def __init__(self, archive: Archive, *, plugins: Plugins | None = None) -> None:
        self.archive = archive
        self._plugins = plugins
        self.manifest_fault: ArchiveError | None = None
        try:
            self.manifest = archive.manifest
        except ArchiveError as error:
            self.manifest_fault = error
            self.manifest = Manifest({})

    @functools.cached_property
    def budget(self) -> Allowance:
        """What looking at the contents of its members may still cost."""
        return Allowance()

    @functools.cached_property
    def formats(self) -> tuple[WeightsFormat, ...]:
        """The formats of weights that are known."""
        return weights_formats(self._plugins)

    @functools.cached_property
    def other_members(self) -> list[str]:
        """The members that the manifest names for nothing, or as weights.

        Of the handler's file and the model file the rules of code say whether they are Python.
        """
        handler = self.handler.member if self.handler else None
        known = {MANIFEST_NAME, handler, self.manifest.model_file}
        return [name for name in self.archive.members if name not in known]

    @functools.cached_property
    def lists_requirements(self) -> bool:
        """Whether a file of the archive, or a block in the handler's own, names packages."""
        return bool(self.manifest.requirements_file) or self.script_member is not None

    @functools.cached_property
    def script_member(self) -> str | None:
        """The handler's file, where it has a block (PEP 723) that may be read."""
        member = self.handler.member if self.handler else None
        if member is None or not member.endswith(".py"):
            return None
        if self.archive.members[member].size > _MAX_SCRIPT:
            return None
        return member if SCRIPT_OPENING.encode() in self.archive.read(member) else None

    @functools.cached_property
    def handler(self) -> FoundHandler | None:
        """Where the handler is, or None where the manifest names none that can be found."""
        name = self.manifest.handler
        try:
            return look_up(name, self.archive.members) if name else None
        except PluginError:  # offered twice: a matter of this machine, which a run reports
            return None

    @functools.cached_property
    def handler_module(self) -> Module | None:
        """The handler's file, parsed; None where it is not in the archive or is no Python."""
        member = self.handler.member if self.handler else None
        return self.module(member) if member and member.endswith(".py") else None

    @functools.cached_property
    def is_loaded_by_base_handler(self) -> bool:
        """Whether the model is certainly loaded as ``BaseHandler`` does it, not by the handler."""
        found, module = self.handler, self.handler_module
        if found is None:
            return False
        if found.member is None:
            return found.distribution == HOST
        entry = find_entry(module, found.entry) if module else None
        if entry is None or module is None or not entry.is_class or not entry.name:
            return False
        return loads_like_base_handler(module, entry.name)

    @functools.cached_property
    def config(self) -> Any:
        """What model-config.yaml holds; None where there is none, or it holds nothing.

        Raises:
            YamlFault: It is too large, or no plain YAML.
        """
        name = self.manifest.config_file
        member = self.archive.members.get(name or "")
        if name is None or member is None:
            return None
        if member.size > MAX_BYTES:
            message = f"The file is {member.size:,} bytes; at most {MAX_BYTES:,} are allowed."
            raise YamlFault("MAR-Y002", message)
        return read_yaml(self.archive.read(name))

    @functools.cached_property
    def weights(self) -> WeightsReport | None:
        """What the serialized file is and holds; None where there is none."""
        name = self.manifest.serialized_file
        return self.examine(name) if name and name in self.archive.members else None

    def module(self, name: str) -> Module | None:
        """A Python member, parsed; None where it is no Python."""
        parsed = self.parsed(name)
        return parsed if isinstance(parsed, Module) else None

    def parsed(self, name: str) -> Module | SourceFault:
        """A Python member, parsed, or what is wrong with it."""
        if name not in self._parsed:
            self._parsed[name] = self._parse(name)
        return self._parsed[name]

    def _parse(self, name: str) -> Module | SourceFault:
        if self.archive.members[name].size <= _MAX_SOURCE:
            return parse_module(self.archive.read(name))
        with self.archive.open(name) as stream:
            if is_binary(stream.read(_HEAD)):
                return BINARY
        return SourceFault(f"The file is longer than {_MAX_SOURCE:,} bytes.", large=True)

    @functools.cached_property
    def _parsed(self) -> dict[str, Module | SourceFault]:
        return {}

    def examine(self, name: str) -> WeightsReport:
        """What a member is and holds, as weights."""
        try:
            with (
                self.archive.open(name) as stream,
                seekable(stream, budget=self.budget) as readable,
            ):
                return examine(readable, budget=self.budget, formats=self.formats)
        except TooCostlyError:
            return unexamined()
