"""What an archive needs for the handlers that come with mar, as the plugin ``mar-handlers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import ArchiveError, Finding, Severity, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import Archive

__all__ = ["VOCABULARY_FILES", "mar_validate_archive"]

# Where a vocabulary is looked for, in this order.
VOCABULARY_FILES = (
    "tokenizer.json", "source_vocab.json", "source_vocab.txt", "vocab.json", "vocab.txt",
    "source_vocab.pt",
)  # fmt: skip
_TEXT_HANDLERS = frozenset(
    {
        "text_classifier",
        "text_handler",
        "builtin_handlers.text_classifier:TextClassifier",
        "builtin_handlers.text_handler:TextHandler",
    }
)
_LARGEST_CONFIG = 1 << 20


@hookimpl
def mar_validate_archive(archive: Archive) -> Iterator[Finding]:
    """Find text handlers without a vocabulary: they fail when they are initialized."""
    try:
        handler = archive.manifest.handler or ""
    except ArchiveError:  # mar's own rules say what is wrong with it
        return
    if handler not in _TEXT_HANDLERS or f"{handler}.py" in archive.members:
        return
    named = _named(archive)
    wanted = (named,) if named else VOCABULARY_FILES
    if not any(name in archive.members for name in wanted):
        message = f"The vocabulary {named!r} is not in the archive."
        yield Finding(
            code="MAR-R010",
            message=message if named else f"The archive has no vocabulary for {handler}.",
            severity=Severity.ERROR,
            hint="Add one with --extra-files, under one of these names: "
            f"{', '.join(VOCABULARY_FILES)}.",
        )


def _named(archive: Archive) -> str | None:
    """The vocabulary that the config or the manifest names."""
    named = _in_config(archive, "handler", "vocabulary")
    named = named or archive.manifest.model.get("sourceVocab")
    return named if isinstance(named, str) and named else None


def _in_config(archive: Archive, *keys: str) -> str | None:
    """A value of model-config.yaml; whether the file is sound, others say.

    Its nodes are looked at, nothing is made of them: aliases and merges come to nothing.
    """
    import yaml

    name = archive.manifest.config_file
    member = archive.members.get(name or "")
    if name is None or member is None or member.size > _LARGEST_CONFIG:
        return None
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        node = yaml.compose(archive.read(name), Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next((value for named, value in pairs if named.value == key), None)
    return node.value if isinstance(node, yaml.ScalarNode) else None
