"""Findings of a pickle scanner, where mar's own rules leave something to say."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core import Finding, Severity, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mar_core import Archive
    from mar_scan.scanner import Scanned

__all__ = ["mar_validate_archive"]

OFF = "If you know the file better: MAR_DISABLED_PLUGINS=mar-scan."
SHOWN = 8


@hookimpl(trylast=True)
def mar_validate_archive(archive: Archive, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Scan what the rules have not refused; they have run before, and their findings are known."""
    from mar_scan import choose, copies, scanner  # only where an archive is looked at

    chosen = list(choose.candidates(archive, findings))
    if not chosen:
        return
    with tempfile.TemporaryDirectory(prefix="mar-scan-") as folder:
        copied = copies.Copies(Path(folder))
        for candidate in chosen:
            if not copied.add(archive, candidate):
                yield _warning("SCAN-003", "It is too large to be scanned.", candidate.name)
        for scanned in scanner.scan(copied.folder, copied.files):
            yield from _findings(scanned, findings)


def _findings(scanned: Scanned, findings: Sequence[Finding]) -> Iterator[Finding]:
    from mar_scan.choose import PICKLE_CODES

    name = scanned.file.name
    known = any(f.member == name and f.code in PICKLE_CODES for f in findings)
    if scanned.dangerous:
        message = f"Loading it uses {_listed(scanned.dangerous)}, known to be dangerous."
        yield _error("SCAN-001", message, name)
    elif scanned.unknown and not known:
        message = f"Loading it uses {_listed(scanned.unknown)}, which is on no list."
        yield _warning("SCAN-002", message, name)
    if scanned.failure:
        yield _error("SCAN-004", f"The scanner failed: {scanned.failure}.", name)
    if scanned.fault and not known:
        message = f"It could not be scanned to its end: {scanned.fault}."
        yield _warning("SCAN-003", message, name)


def _error(code: str, message: str, name: str) -> Finding:
    return Finding(code=code, message=message, member=name, hint=f"Do not load it. {OFF}")


def _warning(code: str, message: str, name: str) -> Finding:
    return Finding(
        code=code,
        message=message,
        severity=Severity.WARNING,
        member=name,
        hint="Load it only if you trust its source.",
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
