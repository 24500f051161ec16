"""Two model-config.yaml in one: what the user wrote, and what an importer adds to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_core.errors import UsageError
from mar_core.format.yamltext import MAX_BYTES, YamlFault, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["merged_config"]


def merged_config(mine: Path, theirs: Path, folder: Path) -> Path:
    """Write one file that says what two say; where they differ, the user's wins.

    Args:
        mine: The user's.
        theirs: The importer's.
        folder: Where it is written, under the name of the user's; made if it is missing.

    Returns:
        The new file; the user's own where it is no mapping, which a rule says better.

    Raises:
        UsageError: A file cannot be read.
    """
    import yaml

    user, importer = _read(mine), _read(theirs)
    if not isinstance(user, dict) or not isinstance(importer, dict):
        return mine
    folder.mkdir(exist_ok=True)
    path = folder / mine.name
    text = yaml.safe_dump(_merged(importer, user), sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return path


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            result[key] = _merged(below[key], above[key])
    return result


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return read_yaml(raw) if len(raw) <= MAX_BYTES else None
    except YamlFault:
        return None
