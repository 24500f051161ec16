"""What a weights file is, decided by its bytes and never by its ending."""

from __future__ import annotations

import enum
import io
from typing import TYPE_CHECKING, BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.protobuf import is_onnx
from mar_core.weights.zipindex import read_directory

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["WeightsKind", "identify"]

_HEAD = 512
_TAR_MEMBERS = {b"storages", b"tensors", b"pickle"}
_PROTO = 0x80  # the opcode that opens every pickle since protocol 2
_OLD_PICKLE_HEAD = 64 << 10
_OLD_PICKLE_OPCODES = 64
# What torch.save wrote before version 1.6 begins with this pickled number.
_LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MAX_SAFETENSORS_HEADER = 100_000_000
_MAX_PICKLE_PROTOCOL = 5
_SHARED_LIBRARIES = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


class WeightsKind(enum.StrEnum):
    """The formats of weights that mar knows.

    Attributes:
        TORCH: ``torch.save`` as a zip: a state dict, or a pickled module.
        TORCH_LEGACY: ``torch.save`` before 1.6: pickles one behind the other.
        TORCH_TAR: ``torch.save`` before 0.2: a tar, which no safe loader reads.
        TORCH_PACKAGE: ``torch.package``: code and pickles.
        SAFETENSORS: safetensors.
        TORCHSCRIPT: ``torch.jit.save``, also for mobile.
        EXPORTED: ``torch.export.save``.
        AOTINDUCTOR: an AOTInductor package: compiled native code and weights.
        ONNX: an ONNX model.
        PICKLE: a Python pickle that torch did not write.
        NUMPY: ``.npy`` or ``.npz``.
        SHARED_LIBRARY: native code.
        ZIP: a zip that is none of these, or a damaged one.
        EMPTY: no bytes at all.
        TEXT: nothing but text, such as a git-lfs pointer.
        UNKNOWN: something else.
    """

    TORCH = "torch"
    TORCH_LEGACY = "torch-legacy"
    TORCH_TAR = "torch-tar"
    TORCH_PACKAGE = "torch-package"
    SAFETENSORS = "safetensors"
    TORCHSCRIPT = "torchscript"
    EXPORTED = "torch-export"
    AOTINDUCTOR = "aotinductor"
    ONNX = "onnx"
    PICKLE = "pickle"
    NUMPY = "numpy"
    SHARED_LIBRARY = "shared-library"
    ZIP = "zip"
    EMPTY = "empty"
    TEXT = "text"
    UNKNOWN = "unknown"

    @property
    def carries_structure(self) -> bool:
        """Whether the file holds the network itself, so that no model file is needed."""
        return self in _WITH_STRUCTURE


_WITH_STRUCTURE = frozenset(
    {
        WeightsKind.TORCHSCRIPT,
        WeightsKind.EXPORTED,
        WeightsKind.AOTINDUCTOR,
        WeightsKind.ONNX,
        WeightsKind.SHARED_LIBRARY,
        WeightsKind.TORCH_PACKAGE,
    }
)


def identify(stream: BinaryIO) -> WeightsKind:
    """Say what a weights file is.

    Reads a few kilobytes, and the directory of a zip. Never loads, imports or unpickles.

    Args:
        stream: The file, seekable; read from its beginning, left anywhere.

    Returns:
        Its kind; ``UNKNOWN`` and ``ZIP`` are kinds too, so that nothing raises here.
    """
    stream.seek(0)
    head = stream.read(_HEAD)
    if not head:
        return WeightsKind.EMPTY
    if head.startswith(b"PK\x03\x04"):
        return _identify_zip(stream)
    return _by_magic(head) or _by_structure(stream, head)


def _by_magic(head: bytes) -> WeightsKind | None:
    if head[257:262] == b"ustar" and head.split(b"\0", 1)[0] in _TAR_MEMBERS:
        return WeightsKind.TORCH_TAR
    if head[0] == _PROTO and head[2 : 2 + len(_LEGACY_MAGIC)] == _LEGACY_MAGIC:
        return WeightsKind.TORCH_LEGACY
    if head.startswith(b"\x93NUMPY"):
        return WeightsKind.NUMPY
    if head.startswith(_SHARED_LIBRARIES):
        return WeightsKind.SHARED_LIBRARY
    return None


def _by_structure(stream: BinaryIO, head: bytes) -> WeightsKind:
    if _is_safetensors(stream, head):
        return WeightsKind.SAFETENSORS
    if head[0] == _PROTO and len(head) > 1 and head[1] <= _MAX_PICKLE_PROTOCOL:
        return WeightsKind.PICKLE
    if is_onnx(stream):
        return WeightsKind.ONNX
    if _is_old_pickle(stream, head):
        return WeightsKind.PICKLE
    return WeightsKind.TEXT if _is_text(head) else WeightsKind.UNKNOWN


def _identify_zip(stream: BinaryIO) -> WeightsKind:
    try:
        names = [entry.name for entry in read_directory(stream)]
    except ModelError:
        return WeightsKind.ZIP
    if names and all(name.endswith(".npy") for name in names):
        return WeightsKind.NUMPY
    if "serialized_exported_program.json" in names:  # torch.export before 2.8
        return WeightsKind.EXPORTED
    prefix = names[0].partition("/")[0] + "/" if names else "/"
    return _by_records({name.removeprefix(prefix) for name in names if name.startswith(prefix)})


def _by_records(records: set[str]) -> WeightsKind:
    if "archive_format" in records:
        if _any_below(records, "models/"):
            return WeightsKind.EXPORTED
        if _any_below(records, "data/aotinductor/"):
            return WeightsKind.AOTINDUCTOR
    if "constants.pkl" in records:
        return WeightsKind.TORCHSCRIPT
    if ".data/extern_modules" in records:
        return WeightsKind.TORCH_PACKAGE
    return WeightsKind.TORCH if "data.pkl" in records else WeightsKind.ZIP


def _any_below(records: Iterable[str], folder: str) -> bool:
    return any(record.startswith(folder) for record in records)


def _is_safetensors(stream: BinaryIO, head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    size = stream.seek(0, io.SEEK_END)
    return head[8:9] == b"{" and length <= min(size - 8, _MAX_SAFETENSORS_HEADER)


def _is_old_pickle(stream: BinaryIO, head: bytes) -> bool:
    """Protocols 0 and 1 have no mark at the beginning: see whether it reads as one."""
    import pickletools

    if chr(head[0]) not in "(]})cIVSLFNGKMJXTUiP":
        return False
    stream.seek(0)
    try:
        for count, (opcode, _, _) in enumerate(pickletools.genops(stream.read(_OLD_PICKLE_HEAD))):
            if opcode.name == "STOP" or count > _OLD_PICKLE_OPCODES:
                return True
    except Exception:  # noqa: BLE001 - whatever pickletools raises: it is no pickle
        return False
    return False


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(char.isprintable() or char in "\r\n\t" for char in text)
