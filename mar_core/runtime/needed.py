"""What of an archive has to be unpacked before it is loaded, and what is read where it lies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mar_core.cache.entries import unpacked
from mar_core.cache.files import ModelFiles, PackedFiles
from mar_core.cache.verified import verify
from mar_core.format.view import PackedArchive
from mar_core.weights.registry import identify

if TYPE_CHECKING:
    from mar_core.format import Archive
    from mar_core.format.manifest import Manifest

__all__ = ["files_for"]

_SOURCE = (".py",)
_COMPILED = (".pyc", ".so", ".pyd", ".dll", ".dylib")
# How code gets at files without asking its context for their folder.
_OTHER_WAYS = re.compile(
    rb"serializedFile|model_pt_path|modelName|__file__|__path__|getcwd|\bcwd\b|chdir|listdir|scandir"
    rb"|glob|os\.walk|iterdir|from_pretrained|sys\.path|PYTHONPATH|pkgutil|resources"
    rb"""|["']\.{1,2}/?["']"""
)


def files_for(archive: Archive, manifest: Manifest) -> ModelFiles:
    """The files of an archive, unpacked as far as its handler needs them so.

    Weights stay in a ``.mar`` where they lie there as they are, their format is loaded so, and no
    code of the archive could look for them other than by asking for the folder. They are compared
    with their checksums, once for each archive file.

    The small files are unpacked for the archive's own code, which is imported from there and may
    open what stands beside it. With an installed handler it is the handler's class that says
    whether it needs them.

    Args:
        archive: The archive, open and validated.
        manifest: Its manifest, with the handler that will run.

    Raises:
        ValidationError: What is not unpacked is damaged.
        ArchiveError: It cannot be unpacked.
    """
    if not isinstance(archive, PackedArchive) or archive.kind != "zip":
        return ModelFiles(unpacked(archive))
    weights = manifest.serialized_file
    if weights is None or not _stays(archive, weights):
        weights = None
    if weights is None and manifest.serialized_file is not None:
        return ModelFiles(unpacked(archive))
    files = PackedFiles(archive, apart=weights)
    if weights is not None:
        verify(archive, weights)
    if any(name.endswith((*_SOURCE, ".yaml")) for name in _others(archive, manifest)):
        files.unpack(archive)
    return files


def _stays(archive: PackedArchive, weights: str) -> bool:
    """Whether the weights can be loaded where they lie, and nothing looks for them elsewhere."""
    member = archive.members.get(weights)
    if member is None or not member.stored or _looks_for(archive, weights):
        return False
    with archive.open(weights) as stream:
        return identify(stream).in_place


def _looks_for(archive: PackedArchive, weights: str) -> bool:
    """Whether code of the archive might find its weights by itself."""
    base = weights.rpartition("/")[2]
    ending = re.escape(base[base.rfind(".") :].encode())
    named = re.compile(rb"%b\b|%b" % (ending, re.escape(base.encode())))
    for name in archive.members:
        if name.endswith(_COMPILED):
            return True
        if name.endswith(_SOURCE):
            source = archive.read(name)
            if _OTHER_WAYS.search(source) or named.search(source):
                return True
    return False


def _others(archive: PackedArchive, manifest: Manifest) -> list[str]:
    """The members that a handler may want, beside its config, which has been read already."""
    return [name for name in archive.members if name != manifest.config_file]
