"""The rules that come with mar, as the plugin ``mar-rules``: one family after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.findings import ValidationError
from mar_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding
    from mar_core.format import Archive

__all__ = ["mar_validate_archive"]


@hookimpl(tryfirst=True)
def mar_validate_archive(archive: Archive) -> Iterator[Finding]:
    """Hold an archive against every built-in rule.

    Args:
        archive: The archive, open.
    """
    # Every command that calls a hook loads this plugin; not every one validates.
    from mar_core.checks.code import code_findings
    from mar_core.checks.manifest import manifest_findings, reference_findings
    from mar_core.checks.subject import LOCK, Subject

    subject = Subject(archive)
    families = [manifest_findings, reference_findings]
    if subject.other_members or subject.manifest.serialized_file:
        from mar_core.checks.weights import weights_findings

        families.append(weights_findings)
    families.append(code_findings)
    if subject.manifest.config_file:
        from mar_core.checks.config import config_findings

        families.append(config_findings)
    families.append(_requirements)
    if LOCK in archive.members:
        from mar_core.checks.lock import lock_findings

        families.append(lock_findings)
    for family in families:
        try:
            yield from family(subject)
        except ValidationError as error:  # a member turns out to be damaged while it is read
            yield from error.findings


def _requirements(subject: Subject) -> Iterator[Finding]:
    if subject.lists_requirements:
        from mar_core.checks.requirements import requirement_findings

        yield from requirement_findings(subject)
