"""Where a signature is said: in the manifest, by the handler, or in the recorded examples.

A handler declares its own as a class attribute ``signature``, a handler that is a function as a
name of its module. Both are read from the source: nothing of an archive is imported by looking. An
installed handler may name an installed function in its place, which says it of each archive.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError, MarError
from mar_core.format.yamltext import read_model_config
from mar_core.handlers.entry import find_entry
from mar_core.handlers.lookup import look_up, module_member, source_of
from mar_core.handlers.source import Module, parse_module
from mar_core.signature.record import Signature, SignatureError
from mar_core.ts import compat

if TYPE_CHECKING:
    from mar_core.format import Archive
    from mar_core.format.manifest import Manifest
    from mar_core.handlers.lookup import FoundHandler

__all__ = ["declared", "evaluated", "find_signature", "read_signature", "recorded"]

KEY = "signature"
EXAMPLES = "MAR-INF/examples/examples.json"
_LARGEST_SOURCE = 1 << 20
_LARGEST_INDEX = 16 << 20
_MOST_CLASSES = 20
# Overriding one of these changes what a handler takes, or gives.
_TAKING = frozenset({"handle", "preprocess"})
_GIVING = frozenset({"handle", "postprocess"})
# Where a public name is at home that a handler may inherit a declaration from.
_PUBLIC = {"mar_core.VisionHandler": "builtin_handlers.vision_handler.VisionHandler"}
# A function that says the signature: `acme.signatures:of_archive`.
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_NO_HANDLERS = frozenset({*sys.stdlib_module_names, "numpy", "torch", "torchvision"})


def read_signature(archive: Archive) -> Signature | None:
    """What an archive takes and gives; nothing of it is imported.

    Args:
        archive: The archive, open.

    Returns:
        What its manifest keeps, else what its handler declares, else what its recorded examples
        show; None where nothing says it.

    Raises:
        ArchiveError: The archive cannot be read.
    """
    manifest = archive.manifest
    if KEY in manifest.mar:
        try:
            return Signature.from_dict(manifest.mar[KEY]) or None
        except SignatureError:  # a rule says what is wrong with it
            return None
    return find_signature(archive, manifest)


def find_signature(archive: Archive, manifest: Manifest) -> Signature | None:
    """The same without what the manifest keeps: what a fresh archive would keep there.

    Args:
        archive: The archive or what it will be made of, open.
        manifest: Names the handler.
    """
    try:
        found = declared(archive, manifest)
    except MarError:  # a rule says what is wrong with it
        return None
    return found or recorded(archive)


def declared(archive: Archive, manifest: Manifest) -> Signature | None:
    """What an archive's handler declares, or what it inherits such a declaration from.

    What a class inherits counts as far as it does not override ``preprocess``, ``postprocess`` or
    ``handle``.

    Args:
        archive: The archive, open.
        manifest: Names the handler.

    Raises:
        SignatureError: What it declares is no signature.
        PluginError: Two distributions register the handler.
    """
    found = look_up(manifest.handler, archive.members) if manifest.handler else None
    if found is None:
        return None
    code = _Code(archive)
    name, entry = _place(found)
    module = code.module(name)
    if module is None:
        return None
    if found.member is not None:
        chosen = find_entry(module, entry)
        entry = chosen.name if chosen.is_class else None
    if entry not in module.classes:
        return None if module.signature is None else code.said(module, module.signature)
    return code.declared(module, entry or "", frozenset()) or None


def evaluated(expression: ast.expr) -> Signature:
    """The signature that a declaration is; nothing of it runs.

    Raises:
        SignatureError: It is none.
    """
    try:
        value: Any = ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise SignatureError(
            f"The signature in line {expression.lineno} is not written in plain values."
        ) from None
    return Signature() if value is None else Signature.from_dict(value)


def _place(found: FoundHandler) -> tuple[str, str | None]:
    """The module that holds a handler, and what to take from it."""
    if found.target is None:
        return found.module, found.entry
    module, _, entry = found.target.partition(":")
    return module.strip(), entry.strip() or None


class _Code:
    """Modules, parsed: those of an archive first, then those that are installed."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._left = _MOST_CLASSES
        self._installed: list[Module] = []

    def module(self, name: str) -> Module | None:
        member = module_member(name, self._archive.members)
        if member is not None:
            fine = member.endswith(".py") and self._archive.members[member].size <= _LARGEST_SOURCE
            source: bytes | None = self._archive.read(member) if fine else None
        elif name.partition(".")[0] in _NO_HANDLERS:
            return None
        else:
            source = source_of(compat.home_of(name) or name)
        parsed = parse_module(source) if source is not None else None
        if not isinstance(parsed, Module):
            return None
        if member is None:
            self._installed.append(parsed)
        return parsed

    def said(self, module: Module, expression: ast.expr) -> Signature:
        """The signature that a declaration in a module is.

        Raises:
            SignatureError: It is none.
        """
        name = expression.value if isinstance(expression, ast.Constant) else None
        installed = any(one is module for one in self._installed)
        if not installed or not isinstance(name, str) or not _FUNCTION.fullmatch(name):
            return evaluated(expression)
        place, _, function = name.partition(":")
        if module_member(place, self._archive.members) is not None:
            raise SignatureError(f"The signature's function, {name}, lies in the archive.")
        return _asked(place, function, self._archive)

    def declared(self, module: Module, name: str, hidden: frozenset[str]) -> Signature | None:
        """What a class declares or inherits, less what the classes below it have overridden."""
        self._left -= 1
        facts = module.classes.get(name)
        if facts is None or self._left < 0:
            return None
        own = Signature()
        if facts.signature is not None:
            said = self.said(module, facts.signature)
            own = _without(said, hidden)
            if not said or (own.inputs and own.outputs):
                return own
        hidden |= facts.methods & (_TAKING | _GIVING)
        for base in facts.bases:
            home, _, last = _PUBLIC.get(base, base).rpartition(".")
            found = module if base in module.classes else self.module(home) if home else None
            inherited = self.declared(found, last, hidden) if found is not None else None
            if inherited is not None:
                return _completed(own, inherited)
        return own or None


def _asked(place: str, function: str, archive: Archive) -> Signature:
    """What an installed function says of an archive.

    Raises:
        SignatureError: It cannot be asked, or what it says is no signature.
    """
    try:
        options = read_model_config(archive).get("handler")
        say = getattr(importlib.import_module(place), function)
        value = say(archive, options if isinstance(options, dict) else {})
    except ArchiveError as error:
        raise SignatureError(error.message) from error
    except Exception as error:  # it is somebody else's code
        kind = type(error).__name__
        raise SignatureError(f"{place}:{function} raises {kind}: {error}.") from error
    return Signature() if value is None else Signature.from_dict(value)


def _completed(own: Signature, inherited: Signature) -> Signature:
    return Signature(
        inputs=own.inputs or inherited.inputs, outputs=own.outputs or inherited.outputs
    )


def _without(signature: Signature, hidden: frozenset[str]) -> Signature:
    return Signature(
        inputs=() if hidden & _TAKING else signature.inputs,
        outputs=() if hidden & _GIVING else signature.outputs,
        origin=signature.origin,
    )


def recorded(archive: Archive) -> Signature | None:
    """What was seen when the archive's examples were recorded."""
    member = archive.members.get(EXAMPLES)
    if member is None or member.size > _LARGEST_INDEX:
        return None
    try:
        return Signature.from_dict(json.loads(archive.read(EXAMPLES))[KEY]) or None
    except (ValueError, KeyError, TypeError, RecursionError, SignatureError):
        return None  # made before there were signatures; what else is wrong with it, others say
