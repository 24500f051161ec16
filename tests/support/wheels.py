"""Tiny real wheels in a folder, for tests that lock and install: no index is asked."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["alone", "digest", "sdist", "wheel"]

TAG = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def alone(folder: Path, *, cache: Path) -> dict[str, str]:
    """What uv is told by its environment: packages are in that folder and nowhere else."""
    told = cache.with_name(f"{cache.name}.toml")
    told.write_text(f'no-index = true\nfind-links = ["{folder}"]\nlink-mode = "copy"\n')
    return {"UV_CONFIG_FILE": str(told), "UV_CACHE_DIR": str(cache)}


def wheel(
    folder: Path, name: str, version: str, *, requires: tuple[str, ...] = (), size: int = 0
) -> Path:
    """A pure wheel whose module says its version as ``VERSION``.

    Args:
        folder: Where.
        name: The distribution and its module.
        version: Its version.
        requires: What it needs.
        size: Bytes of a file that it has besides.
    """
    info = f"{name}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{name}/__init__.py": f"__version__ = VERSION = {version!r}\n".encode(),
        f"{info}/METADATA": (head + "".join(f"Requires-Dist: {r}\n" for r in requires)).encode(),
        f"{info}/WHEEL": TAG.encode(),
    }
    if size:
        files[f"{name}/data.bin"] = b"\0" * size
    record = "".join([*_records(files), f"{info}/RECORD,,\n"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for member, content in {**files, f"{info}/RECORD": record.encode()}.items():
            packed.writestr(member, content)
    return path


def sdist(folder: Path, name: str, version: str) -> Path:
    """A source distribution; nothing builds it."""
    path = folder / f"{name}-{version}.tar.gz"
    content = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n".encode()
    with tarfile.open(path, "w:gz") as packed:
        member = tarfile.TarInfo(f"{name}-{version}/PKG-INFO")
        member.size = len(content)
        packed.addfile(member, io.BytesIO(content))
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _records(files: Mapping[str, bytes]) -> Iterator[str]:
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        yield f"{name},sha256={digest},{len(content)}\n"
