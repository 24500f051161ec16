"""What the classes of a parsed module are, as far as their text shows."""

from __future__ import annotations

import builtins
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mar_core.checks.python import ClassFacts, Module

__all__ = ["Kind", "handler_classes", "leaves", "loads_like_base_handler", "networks"]

_HANDLER_HOMES = ("ts.torch_handler.", "mar_core.", "builtin_handlers.")
_NETWORK_HOMES = ("torch.nn.", "torchvision.models.")
_NETWORKS = {"torch.jit.ScriptModule", "torch.fx.GraphModule"}
# Bases that are no network and bring no ``handle``.
_PLAIN_HOMES = (
    "abc.", "enum.", "typing.", "typing_extensions.", "collections.", "dataclasses.",
    "torch.utils.data.", "torch.autograd.", "pydantic.",
)  # fmt: skip
_OWN_LOADING = {"_load_pickled_model", "_load_torchscript_model"}


class Kind(enum.Enum):
    """Whether a class is something: what it inherits from elsewhere may not be known."""

    YES = enum.auto()
    NO = enum.auto()
    PERHAPS = enum.auto()


def networks(module: Module) -> dict[str, Kind]:
    """For each class of a module, whether it is a ``torch.nn.Module``."""

    def judge(facts: ClassFacts) -> Kind:
        named = any(base in _NETWORKS for base in facts.bases)
        return Kind.YES if named else _by_bases(module, facts, _NETWORK_HOMES)

    return {name: _kind(module, facts, judge) for name, facts in module.classes.items()}


def handler_classes(module: Module) -> dict[str, Kind]:
    """For each class of a module, whether it has a ``handle``."""

    def judge(facts: ClassFacts) -> Kind:
        named = "handle" in facts.methods | facts.attributes
        return Kind.YES if named else _by_bases(module, facts, _HANDLER_HOMES, _NETWORK_HOMES)

    return {name: _kind(module, facts, judge) for name, facts in module.classes.items()}


def leaves(module: Module, names: Iterable[str]) -> list[str]:
    """The classes among these that none of the others inherits from."""
    names = list(names)
    inherited = {
        base.name
        for name in names
        for base in _chain(module, module.classes[name])
        if base.name != name
    }
    return [name for name in names if name not in inherited]


def loads_like_base_handler(module: Module, class_name: str) -> bool:
    """Whether a handler's model is certainly loaded as ``BaseHandler`` does it.

    Args:
        module: The handler's file.
        class_name: The handler's class.
    """
    chain = list(_chain(module, module.classes[class_name]))
    if not any(base.startswith(_HANDLER_HOMES) for facts in chain for base in facts.bases):
        return False
    for facts in chain:
        if facts.methods & _OWN_LOADING:
            return False
        if "initialize" in facts.methods:
            return "initialize" in facts.super_calls.get("initialize", ())
    return True


def _kind(module: Module, facts: ClassFacts, judge: Callable[[ClassFacts], Kind]) -> Kind:
    answers = [judge(link) for link in _chain(module, facts)]
    return next((kind for kind in (Kind.YES, Kind.PERHAPS) if kind in answers), Kind.NO)


def _by_bases(
    module: Module, facts: ClassFacts, homes: tuple[str, ...], strangers: tuple[str, ...] = ()
) -> Kind:
    if any(base.startswith(homes) for base in facts.bases):
        return Kind.YES
    plain = (*_PLAIN_HOMES, *strangers)
    known = all(
        base.startswith(plain) or base in module.classes or hasattr(builtins, base)
        for base in facts.bases
    )
    return Kind.NO if known else Kind.PERHAPS


def _chain(module: Module, facts: ClassFacts) -> Iterator[ClassFacts]:
    """A class and its bases of the same module."""
    todo, seen = [facts], set[str]()
    while todo:
        link = todo.pop(0)
        if link.name in seen:
            continue
        seen.add(link.name)
        yield link
        todo.extend(module.classes[base] for base in link.bases if base in module.classes)
