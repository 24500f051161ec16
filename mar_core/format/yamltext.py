"""YAML from strangers: read only after its events and nodes have been counted.

An alias repeats what it names, a merge key copies it, and nine of either on each of nine levels
are four hundred million: both are counted as if they were written out, before anything is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.format.view import Archive

__all__ = ["MAX_BYTES", "YamlFault", "read_model_config", "read_yaml"]

MAX_BYTES = 1 << 20
_MAX_EVENTS = 50_000
_MAX_NODES = 50_000
_MAX_ALIASES = 100
_MAX_DEPTH = 64
_MAX_NUMBER = 400
_CORE = "tag:yaml.org,2002:"
_CORE_TAGS = {f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")}
_NUMBERS = {f"{_CORE}int", f"{_CORE}float", f"{_CORE}timestamp"}


class YamlFault(Exception):  # noqa: N818 - a finding in the making, not an error of ours
    """Why a document is refused.

    Args:
        code: The rule that it breaks.
        message: One sentence.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def read_yaml(raw: bytes) -> Any:
    """The value of a document.

    Args:
        raw: At most ``MAX_BYTES`` bytes.

    Raises:
        YamlFault: It is no plain YAML, or larger than it looks.
    """
    import yaml

    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlFault("MAR-Y001", f"The file is not UTF-8 (byte {error.start}).") from error
    try:
        _check_events(text)
        # The nodes that are checked are those that the value is made of.
        loader = _loader()(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_nodes(root)
        return loader.construct_document(root)
    except yaml.YAMLError as error:
        raise YamlFault("MAR-Y001", _sentence(error)) from error
    except (ValueError, RecursionError, OverflowError, AttributeError) as error:
        raise YamlFault("MAR-Y001", "The file holds a value that is none.") from error


def read_model_config(archive: Archive) -> dict[str, Any]:
    """What an archive's model-config.yaml holds; empty where there is none.

    It is read with bounds, as everything of an archive that may come from anybody.

    Args:
        archive: The archive, open.

    Raises:
        ArchiveError: The file is no plain YAML, is larger than it looks, or is no mapping.
    """
    name = archive.manifest.config_file
    member = archive.members.get(name or "")
    if name is None or member is None:
        return {}
    try:
        if member.size > MAX_BYTES:
            raise ArchiveError(f"{name} has more than {MAX_BYTES:,} bytes.")
        config = read_yaml(archive.read(name))
    except YamlFault as fault:
        raise ArchiveError(f"{name}: {fault.message}") from fault
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise ArchiveError(f"{name} is no mapping.", hint="Write it as `key: value` lines.")
    return config


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_events(text: str) -> None:
    """Look at the document as it is read, and stop at the first excess."""
    import yaml

    depth = documents = aliases = 0
    for count, event in enumerate(yaml.parse(text, Loader=_loader())):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if documents > 1:
            raise YamlFault("MAR-Y001", "The file holds more than one document.")
        if count > _MAX_EVENTS or depth > _MAX_DEPTH or aliases > _MAX_ALIASES:
            limits = f"{_MAX_EVENTS:,} parts, {_MAX_DEPTH} levels and {_MAX_ALIASES} aliases"
            raise YamlFault("MAR-Y002", f"The file has more than {limits}.")
        _check_tag(getattr(event, "tag", None), event)


def _check_tag(tag: str | None, event: Any) -> None:
    if tag not in {None, "!"} and tag not in _CORE_TAGS:
        line = event.start_mark.line + 1
        raise YamlFault(
            "MAR-Y001",
            f"Line {line} has the tag {str(tag)[:80]!r}, which plain YAML does not have.",
        )


def _check_nodes(root: Any) -> None:
    """Count what aliases and merges come to, and look for keys that come twice."""
    sizes: dict[int, int] = {}
    todo: list[tuple[Any, bool]] = [(root, False)]
    open_nodes: set[int] = set()
    while todo:
        node, done = todo.pop()
        if done:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in _children(node))
            if sizes[id(node)] > _MAX_NODES:
                raise YamlFault("MAR-Y002", f"Its aliases come to more than {_MAX_NODES:,} parts.")
        elif id(node) in open_nodes:
            raise YamlFault("MAR-Y002", "An alias refers to what it is a part of.")
        elif id(node) not in sizes:
            _check_node(node)
            open_nodes.add(id(node))
            todo.append((node, True))
            todo.extend((child, False) for child in _children(node))


def _children(node: Any) -> Iterator[Any]:
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _check_node(node: Any) -> None:
    import yaml

    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > _MAX_NUMBER:
        raise YamlFault("MAR-Y002", f"Line {line} holds a number of {len(node.value):,} digits.")
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
        if (key.tag, key.value) in seen:
            message = f"The mapping in line {line} has the key {key.value[:80]!r} twice."
            raise YamlFault("MAR-Y005", message)
        seen.add((key.tag, key.value))


def _sentence(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be read"
    where = f" in line {mark.line + 1}" if mark else ""
    return f"The file is not plain YAML: {' '.join(str(problem).split())[:200]}{where}."
