"""An archive that has been validated, and unpacked as far as needed: what every worker loads."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mar_core.cache.entries import unpacked
from mar_core.cache.files import ModelFiles, PackedFiles
from mar_core.cache.verified import verify
from mar_core.checks.lock import LOCK
from mar_core.checks.validation import check
from mar_core.errors import ArchiveError
from mar_core.format.view import PackedArchive
from mar_core.plugins import get_plugins
from mar_core.runtime.file_watch import Stamp, stamp_of
from mar_core.weights.registry import identify

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core.findings import Finding
    from mar_core.format import Archive
    from mar_core.format.manifest import Manifest
    from mar_core.runtime.interpreter import Interpreter
    from mar_core.runtime.load_options import LoadOptions
    from mar_core.signature import Signature

__all__ = ["Prepared", "files_for", "needs_torch", "prepare", "prepare_opened"]

_SOURCE = (".py",)
_COMPILED = (".pyc", ".so", ".pyd", ".dll", ".dylib")
# How code gets at files without asking its context for their folder.
_OTHER_WAYS = re.compile(
    rb"serializedFile|model_pt_path|modelName|__file__|__path__|getcwd|\bcwd\b|chdir|listdir|scandir"
    rb"|glob|os\.walk|iterdir|from_pretrained|sys\.path|PYTHONPATH|pkgutil|resources"
    rb"""|["']\.{1,2}/?["']"""
)

# CPython counts the depth of `ast.parse` for all threads together, and fails where two parse.
_checking = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An archive, validated and ready to be loaded, of which nothing was imported. It pickles.

    Attributes:
        recipe: What it was made of, and how to load it.
        manifest: The archive's manifest.
        files: Its files, unpacked as far as its handler needs them so.
        config: The archive's model-config.yaml as parsed; empty where there is none.
        findings: What validation found that did not refuse the archive.
        stamps: Size and time of each member's file, by which a change is known.
        needs_torch: Whether loading it will import PyTorch, as far as that shows.
        interpreter: The Python that its workers run in; None for this one.
        signature: What it takes and gives; None where nothing says it, or nobody will ask.
    """

    recipe: LoadOptions
    manifest: Manifest
    files: ModelFiles
    config: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    stamps: tuple[tuple[str, Stamp], ...] = ()
    needs_torch: bool = True
    interpreter: Interpreter | None = None
    signature: Signature | None = None

    @property
    def model_dir(self) -> Path:
        """The folder that holds the archive's members; unpacked when asked for.

        Raises:
            ArchiveError: It cannot be unpacked.
        """
        return self.files.unpack_all()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.model_name or "model"

    @property
    def digest(self) -> str:
        """The digest that names the archive."""
        return self.manifest.digest

    @property
    def batch_size(self) -> int:
        """Requests in a batch: the recipe's, else the archive's, else 1."""
        size = self.recipe.batch_size or self.config.get("batchSize")
        return size if isinstance(size, int) and size > 0 else 1

    def close(self) -> None:
        """Let go of the archive's file: no worker will be started of it any more."""
        self.files.close()

    def check_unchanged(self) -> None:
        """Make sure that a worker which starts now loads what the others have loaded.

        Raises:
            ArchiveError: A file of the archive has changed meanwhile.
        """
        self.files.check_unchanged()
        for name, stamp in self.stamps:
            if stamp_of(self.files.folder / name) != stamp:
                raise ArchiveError(
                    f"{name} of {self.recipe.source} has changed since it was loaded, and a worker "
                    "must load it again.",
                    hint="Begin again, so that all results are of one version.",
                )


def prepare(recipe: LoadOptions) -> Prepared:
    """Open and validate an archive, and unpack what has to be. Imports no PyTorch.

    Raises:
        ArchiveError: It cannot be read, or a rule refuses it.
    """
    with recipe.open() as archive:
        return prepare_opened(archive, recipe)


def prepare_opened(
    archive: Archive, recipe: LoadOptions, *, torch: bool | None = None, signed: bool = True
) -> Prepared:
    """The same of an archive that is open.

    Args:
        archive: The archive.
        recipe: How to load it.
        torch: What ``needs_torch`` says of it, for who has asked.
        signed: Whether anybody will ask for its signature.
    """
    manifest = archive.manifest
    with _checking:
        findings = check(archive, plugins=get_plugins(), allow_pickle=recipe.allow_pickle)
        if recipe.handler is not None:
            manifest = manifest.with_handler(recipe.handler)
        signature = _signature(archive, manifest) if signed else None
    files = files_for(archive, manifest)
    unpacked = sorted(archive.members) if files.is_unpacked else []
    return Prepared(
        recipe=recipe,
        manifest=manifest,
        files=files,
        config=_config(archive, manifest),
        findings=tuple(findings),
        stamps=tuple((name, stamp_of(files.folder / name)) for name in unpacked),
        needs_torch=needs_torch(archive) if torch is None else torch,
        interpreter=_interpreter(archive, recipe, findings),
        signature=signature,
    )


def _signature(archive: Archive, manifest: Manifest) -> Signature | None:
    """What the manifest keeps is about the handler that it names."""
    from mar_core.signature.declared import find_signature, read_signature

    own = manifest.handler == archive.manifest.handler
    return read_signature(archive) if own else find_signature(archive, manifest)


def _config(archive: Archive, manifest: Manifest) -> dict[str, Any]:
    name = manifest.config_file
    if not name:
        return {}
    from mar_core.ts.context import parse_config  # most have none, and need not import it

    return parse_config(archive.read(name), name)


def _interpreter(
    archive: Archive, recipe: LoadOptions, findings: list[Finding]
) -> Interpreter | None:
    if recipe.here and (recipe.env == "off" or LOCK not in archive.members):
        return None  # most runs, which need not import what follows
    from mar_core.runtime.environment import interpreter_of

    return interpreter_of(archive, recipe, findings)


def needs_torch(archive: Archive) -> bool:
    """Whether loading an archive will import PyTorch, as far as that shows without doing so.

    Raises:
        ArchiveError: The archive cannot be read.
    """
    manifest = archive.manifest
    if manifest.serialized_file or manifest.model_file:
        return True
    sources = [name for name in archive.members if name.endswith(".py") and "/" not in name]
    # Without sources of its own it has a registered handler, in all likelihood.
    return not sources or any(b"torch" in archive.read(name) for name in sources)


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
    # Its config has been read already.
    others = [name for name in archive.members if name != manifest.config_file]
    if any(name.endswith((*_SOURCE, ".yaml")) for name in others):
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
