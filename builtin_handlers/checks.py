"""What an archive needs for the handlers that come with mar, as the plugin ``mar-handlers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import ArchiveError, Finding, Severity, hookimpl, read_model_config

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
    try:
        options = read_model_config(archive).get("handler")
    except ArchiveError:  # mar's own rules say what is wrong with it
        options = None
    named = options.get("vocabulary") if isinstance(options, dict) else None
    named = named or archive.manifest.model.get("sourceVocab")
    return named if isinstance(named, str) and named else None
