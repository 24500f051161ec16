"""model-config.yaml of an archive that nobody has checked yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.errors import ArchiveError
from mar_core.format.yamltext import MAX_BYTES, YamlFault, read_yaml

if TYPE_CHECKING:
    from mar_core.format.view import Archive

__all__ = ["read_model_config"]


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
