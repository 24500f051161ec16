"""Bytes, tensors, arrays and pictures as files, with a pointer in the row."""

from __future__ import annotations

import hashlib
import io
import re
import sys
from typing import TYPE_CHECKING, Any

from mar_core.runtime.place import replaced, writing
from mar_core.runtime.values import dense

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core.runtime.values import Save

__all__ = ["BlobFolder", "encode"]

LONGEST_NAME = 80
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_PNG_MODES = {"1", "L", "LA", "I;16", "P", "RGB", "RGBA"}
_TIFF_MODES = {"I", "F", "CMYK", "YCbCr", "LAB"}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"II*\x00", ".tiff"),
    (b"MM\x00*", ".tiff"),
    (b"%PDF-", ".pdf"),
    (b"\x93NUMPY", ".npy"),
    (b"PK\x03\x04", ".zip"),
    (b"OggS", ".ogg"),
    (b"fLaC", ".flac"),
)
_RIFF = {b"WEBP": ".webp", b"WAVE": ".wav"}


class BlobFolder:
    """A folder that takes what JSON cannot hold. It pickles, so that workers can write to it.

    Args:
        path: The folder; it is made when the first file comes.
        shown: How the user named it, for the rows; the same where it is None.
    """

    def __init__(self, path: Path, *, shown: Path | None = None) -> None:
        self.path = path
        self.shown = shown or path

    def save_for(self, name: str) -> Save:
        """What puts the values of one result, known by its input's id, into files."""
        taken: set[str] = set()

        def save(value: Any, where: str) -> dict[str, Any]:
            content, ending, about = encode(value)
            place = where.removeprefix("result").lstrip(".")
            stem = _stem(name, place)
            while stem + ending in taken:
                stem += "-"
            taken.add(stem + ending)
            path = self.path / f"{stem}{ending}"
            with writing(path), replaced(path, sync=False) as stream:
                stream.write(content)
            return {"file": str(self.shown / path.name), "size": len(content), **about}

        return save


def encode(value: Any) -> tuple[bytes, str, dict[str, Any]]:
    """A value as the content of a file.

    Returns:
        The bytes, the file's ending, and what the row should say about it: a tensor's or array's
        ``dtype`` and ``shape``.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        content = bytes(value)
        return content, _ending(content), {}
    buffer = io.BytesIO()
    if not hasattr(value, "dtype"):
        ending = "tiff" if value.mode in _TIFF_MODES else "png"
        picture = value if value.mode in _PNG_MODES | _TIFF_MODES else value.convert("RGBA")
        picture.save(buffer, format=ending)
        return buffer.getvalue(), f".{ending}", {}
    about = {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
    if "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor):
        # A copy: torch.save writes all of the storage that a view belongs to.
        sys.modules["torch"].save(dense(value.detach()).cpu().clone(), buffer)
        return buffer.getvalue(), ".pt", about
    sys.modules["numpy"].save(buffer, value, allow_pickle=False)
    return buffer.getvalue(), ".npy", about


def _ending(content: bytes) -> str:
    if content[:4] == b"RIFF":
        return _RIFF.get(content[8:12], ".bin")
    return next((ending for magic, ending in _MAGIC if content.startswith(magic)), ".bin")


def _stem(name: str, place: str) -> str:
    """A file name that is safe everywhere, readable, and different for every id and place."""
    digest = hashlib.blake2b(f"{name}\0{place}".encode(errors="surrogateescape"), digest_size=5)
    readable = _UNSAFE.sub("_", f"{name}.{place}" if place else name).strip("._-")
    return f"{readable[-LONGEST_NAME:]}-{digest.hexdigest()}"
