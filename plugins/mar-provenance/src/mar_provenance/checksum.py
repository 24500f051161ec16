"""The file that ``sha256sum -c`` reads."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

__all__ = ["write_checksum"]

CHUNK = 1 << 20


def write_checksum(path: Path) -> Path:
    """Write the SHA-256 of a file beside it; a reader sees the old checksum or the new one.

    Args:
        path: The file.

    Returns:
        The path of the checksum.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    target = path.with_name(f"{path.name}.sha256")
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as partial:
        partial.write(f"{digest.hexdigest()}  {path.name}\n")
    partial_path = Path(partial.name)
    partial_path.chmod(path.stat().st_mode)
    partial_path.replace(target)
    return target
