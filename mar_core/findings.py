"""What a check of an archive found: code, severity, member, sentence, remedy."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "Severity", "ValidationError", "has_errors"]


class Severity(enum.StrEnum):
    """How much a finding matters: an error refuses the archive, the others do not."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault, or one thing worth knowing, about an archive.

    Attributes:
        code: The stable rule code, such as ``MAR-M003``; the rules are listed in the reference.
        message: One sentence that says what is wrong.
        severity: Whether it refuses the archive.
        member: The member that it is about, as named in the archive.
        hint: One sentence that says what to do.
        plugin: The plugin that reported it, filled in by the validation loop.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    member: str | None = None
    hint: str | None = None
    plugin: str | None = None

    def __str__(self) -> str:
        where = f"{printable(self.member)}: " if self.member else ""
        hint = f" {self.hint}" if self.hint else ""
        return (
            f"{self.severity.value} {self.code}: {where}{printable(self.message)}{printable(hint)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain JSON values."""
        return {**asdict(self), "severity": self.severity.value}


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether one of the findings refuses the archive."""
    return any(finding.severity is Severity.ERROR for finding in findings)


class ValidationError(ArchiveError):
    """An archive has findings of severity error.

    Args:
        message: One sentence that names the archive.
        findings: Everything that was found, warnings included.
    """

    def __init__(self, message: str, findings: Iterable[Finding]) -> None:
        super().__init__(message)
        self.findings = tuple(findings)

    def __str__(self) -> str:
        lines = [str(finding) for finding in self.findings if finding.severity is Severity.ERROR]
        return "\n  ".join([self.message, *lines])
