"""model-config.yaml: plain, bounded YAML, with TorchServe's keys of TorchServe's types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.checks.schema import check_schema
from mar_core.checks.table import finding
from mar_core.checks.yamltext import MAX_BYTES, YamlFault, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding

__all__ = ["check"]


def check(subject: Subject) -> Iterator[Finding]:
    """What is wrong with the config.

    Args:
        subject: The archive.
    """
    name = subject.manifest.config_file
    member = subject.archive.members.get(name or "")
    if name is None or member is None:
        return
    if member.size > MAX_BYTES:
        message = f"The file is {member.size:,} bytes; at most {MAX_BYTES:,} are allowed."
        yield finding("MAR-Y002", message, member=name)
        return
    try:
        value = read_yaml(subject.archive.read(name))
    except YamlFault as fault:
        yield finding(fault.code, fault.message, member=name)
        return
    if value is None:
        yield finding("MAR-Y004", "The file is empty.", member=name)
    elif not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "a single value"
        yield finding("MAR-Y003", f"The file holds {kind}.", member=name)
    else:
        for code, message in check_schema(value):
            yield finding(code, message, member=name)
