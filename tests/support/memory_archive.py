"""An archive that lies in memory, for tests of what looks at archives."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import craft

from mar_core import Archive, ArchiveError, Member

if TYPE_CHECKING:
    from mar_core import Finding

MANIFEST = craft.MANIFEST
HANDLER = craft.HANDLER
MODEL = b"""\
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x
"""


class MemoryArchive(Archive):
    """Members from bytes."""

    path = Path("memory.mar")
    kind = "zip"

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.members = MappingProxyType(
            {
                name: Member(name=name, size=len(data), compressed_size=len(data))
                for name, data in files.items()
            }
        )

    def open(self, name: str) -> BinaryIO:
        if name not in self.files:
            raise ArchiveError(f"no {name}")
        return io.BytesIO(self.files[name])


def manifest(**model: Any) -> bytes:
    """A sound manifest; keywords set keys of ``model``, None takes one out."""
    data = json.loads(craft.manifest_bytes(**model))
    data["model"] = {key: value for key, value in data["model"].items() if value is not None}
    return json.dumps(data).encode()


def files(extra: dict[str, bytes] | None = None, **model: Any) -> dict[str, bytes]:
    """The files of a sound archive with a function handler, and more."""
    return {MANIFEST: manifest(**model), "handler.py": HANDLER, **(extra or {})}


def archive(extra: dict[str, bytes] | None = None, **model: Any) -> MemoryArchive:
    """A sound archive with a function handler, and more."""
    return MemoryArchive(files(extra, **model))


def codes(found: list[Finding], *, ignore: tuple[str, ...] = ()) -> list[str]:
    """The codes of findings, each once."""
    return list(dict.fromkeys(f.code for f in found if f.code not in ignore))


def write_zip(path: Path, content: dict[str, bytes]) -> Path:
    """Write an ordinary zip of these files, deflated."""
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in content.items():
            # A ZipInfo says itself how it is packed, else: stored.
            packed.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path
