"""Every error that mar raises on purpose: one tree, under ``MarError``.

The command line shows a ``MarError`` as one sentence and a hint, and exits with its ``exit_code``:
1 when some inputs failed, 2 when nothing could be run. Anything else that escapes is a bug
of mar's and keeps its traceback.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ArchiveError",
    "HandlerError",
    "InputError",
    "ManifestError",
    "MarError",
    "MarWarning",
    "ModelError",
    "OutputError",
    "PackagesError",
    "PluginError",
    "UsageError",
]


class MarError(Exception):
    """Something is wrong that the user can mend.

    Args:
        message: One sentence: what is wrong and where.
        hint: One sentence: what to do about it.

    Attributes:
        message: The sentence.
        hint: The remedy, or None.
        exit_code: What ``mar`` exits with when this ends it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


def _rebuild(cls: type[MarError], message: str, state: dict[str, object]) -> MarError:
    """Make an error again in another process, whatever its own ``__init__`` asks for."""
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class MarWarning(UserWarning):
    """Something that the user should know and that stops nothing; `mar` shows it in one line."""


class UsageError(MarError):
    """A flag, an argument or a combination of them makes no sense."""


class ArchiveError(MarError):
    """An archive cannot be read, trusted or written."""


class PackagesError(ArchiveError):
    """The packages that an archive asks for cannot be found or installed."""


class ManifestError(ArchiveError):
    """``MAR-INF/MANIFEST.json`` is missing or is not what it must be."""


class ModelError(MarError):
    """The weights or the model definition cannot be loaded."""


class PluginError(MarError):
    """A plugin cannot be found, imported or registered."""


class InputError(MarError):
    """One input cannot be read; the others are not affected."""

    exit_code: ClassVar[int] = 1


class OutputError(MarError):
    """Results cannot be written, or not where the user wants them."""


class HandlerError(MarError):
    """A handler raised, or returned what it must not.

    Args:
        message: One sentence: what is wrong and where.
        stage: ``load``, ``initialize``, ``preprocess``, ``inference``, ``postprocess``, ``explain``
            or ``handle``.
        handler: The handler as the manifest names it.
        distribution: The distribution that ships it, or None when the archive does.
        code: The HTTP status that TorchServe would have answered with.
        hint: One sentence: what to do about it.
        public: What a server may tell its client, in TorchServe's words; None for the usual.
    """

    def __init__(
        self,
        message: str,
        *,
        stage: str,
        handler: str | None = None,
        distribution: str | None = None,
        code: int = 503,
        hint: str | None = None,
        public: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.public = public
        self.stage = stage
        self.handler = handler
        self.distribution = distribution
        self.code = code
