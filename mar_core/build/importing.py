"""``mar archive --from SOURCE``: what is there becomes a request, by the plugin that knows it.

Nothing of a source is imported, unpickled or run here, nor by an importer: what it is, its files
say. A ``.tar.gz`` is unpacked first, under the rules for archives.
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.build.extra_files import files_below
from mar_core.build.request import ArchiveRequest, Imported
from mar_core.errors import PluginError, UsageError
from mar_core.format.codes import finding, refusal
from mar_core.format.limits import DEFAULT_LIMITS
from mar_core.format.locks import scratch_folder
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.tar_archive import is_gzip, unpack_tar
from mar_core.format.yamltext import MAX_BYTES, YamlFault, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.plugins import Plugins

__all__ = ["default_name", "merged_config", "requested"]

VERSION = "1.0"
# What an importer has a say in; where the archive goes and what is trusted, the user alone says.
_IMPORTED = (
    "model_name", "handler", "version", "model_file", "serialized_file", "requirements_file",
    "config_file", "examples",
)  # fmt: skip


@contextlib.contextmanager
def requested(
    asked: ArchiveRequest, *, source: Path | None = None, convert: str | None = None
) -> Iterator[Imported]:
    """The whole request, be it all in flags or in part in a source; good inside the block.

    Args:
        asked: What the flags said.
        source: A file or folder that says the rest, or None.
        convert: ``safetensors`` to turn a state dict into that, or None.

    Yields:
        What is to be packed, and why.

    Raises:
        UsageError: The source is not there, nobody knows what it is, or it cannot be converted.
        ValidationError: The source holds what no archive may.
        PluginError: An importer failed.
    """
    if source is None and convert is None:
        yield Imported(what="", request=asked)
        return
    with scratch_folder() as folder:
        made = Imported(what="", request=asked)
        if source is not None:
            made = _import(source, asked, folder)
        if convert is not None:
            made = _converted(made, folder / "converted")
        yield made


def default_name(source: Path) -> str:
    """A model's name after its file or folder, made valid.

    A snapshot in the cache of Hugging Face's hub is called after its repository.
    """
    path = Path(os.path.abspath(source))  # noqa: PTH100 - a link is called what it is called
    name = path.name if path.is_dir() else re.sub(r"\.(tar\.gz|tgz|[^.]*)\Z", "", path.name)
    if path.parent.name == "snapshots" and path.parent.parent.name.startswith("models--"):
        name = path.parent.parent.name.rpartition("--")[2]
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^\w.-]+", "_", ascii_only).lstrip("_.-") or "model"


def _import(source: Path, asked: ArchiveRequest, folder: Path) -> Imported:
    from mar_core.plugins import get_plugins

    plugins = get_plugins()
    request = replace(asked, model_name=asked.model_name or default_name(source))
    own = folder / "made"
    own.mkdir()
    for place in _places(source, folder):
        found = plugins.import_source(place, request, own)
        if found is not None:
            return _settled(_checked(found), asked, folder)
    raise _unknown(source, plugins)


def _places(source: Path, folder: Path) -> Iterator[Path]:
    """Where to look: the source, or what is unpacked from it, and the one thing in that."""
    if not source.is_dir() and not source.is_file():
        raise UsageError(f"There is no file or folder {str(source)!r}.", hint="Check --from.")
    packed = not source.is_dir() and is_gzip(source)
    place = source
    if packed:
        place = folder / "unpacked"
        place.mkdir()
        unpack_tar(source, place)
    if place.is_dir():
        _check_folder(place)
    inner = list(place.iterdir()) if packed else []
    places = [place, *inner] if len(inner) == 1 else [place]
    if source.suffix == ".mar" or any((one / MANIFEST_NAME).is_file() for one in places):
        raise UsageError(
            f"{source} is a model archive already.",
            hint="Run it with `mar run`, or change it with `mar update`.",
        )
    yield from places


def _check_folder(folder: Path) -> None:
    """Refuse what would not be taken from an archive.

    Raises:
        UsageError: A link leads nowhere, or something is no file.
        ValidationError: There are too many files, or a link leads out of the folder.
    """
    root = folder.resolve()
    roots = [root]
    if root.parent.name == "snapshots":  # of Hugging Face's cache
        roots.append(root.parent.parent / "blobs")
    for count, (name, path) in enumerate(files_below(folder), 1):
        many = DEFAULT_LIMITS.too_many(count)
        if many is not None:
            raise refusal(folder, many)
        real = path.resolve()
        if not any(real.is_relative_to(one) for one in roots):
            message = "The link leads out of the folder."
            raise refusal(folder, finding("MAR-A120", message, member=name))


def _checked(found: object) -> Imported:
    if not isinstance(found, Imported) or not isinstance(found.request, ArchiveRequest):
        kind = type(found).__name__
        raise PluginError(f"A plugin gave {kind} from mar_import, not an Imported with a request.")
    return found


def _settled(found: Imported, asked: ArchiveRequest, folder: Path) -> Imported:
    """What the importer says, under what the user says."""
    theirs = found.request
    changes = {name: getattr(asked, name) or getattr(theirs, name) for name in _IMPORTED}
    changes["version"] = theirs.version if asked.version is None else asked.version
    changes["version"] = VERSION if changes["version"] is None else changes["version"]
    more = tuple(item for item in asked.extra_files if item not in theirs.extra_files)
    changes["extra_files"] = (*theirs.extra_files, *more)
    configs = asked.config_file, theirs.config_file
    if configs[0] and configs[1] and configs[0] != configs[1]:
        changes["config_file"] = merged_config(configs[0], configs[1], folder / "merged")
    if not changes["handler"]:
        raise PluginError(f"The importer of {found.what} names no handler.", hint="Use --handler.")
    return replace(found, request=replace(asked, **changes))


def _converted(made: Imported, folder: Path) -> Imported:
    from mar_core.build.convert import to_safetensors

    request = made.request
    if request.serialized_file is None:
        raise UsageError("--convert needs weights.", hint="Name them with --serialized-file.")
    folder.mkdir()
    weights, reasons = to_safetensors(
        request.serialized_file, folder, allow_pickle=request.allow_pickle
    )
    request = replace(request, serialized_file=weights)
    return replace(made, request=request, reasons=(*made.reasons, *reasons))


def _unknown(source: Path, plugins: Plugins) -> UsageError:
    offers: dict[str, list[str]] = {}
    for plugin, what in plugins.importers():
        offers.setdefault(plugin, []).append(what)
    looked = "; ".join(f"{', '.join(whats)} ({plugin})" for plugin, whats in offers.items())
    hint = (
        "Install the plugin for it, or name the parts yourself: --handler, --serialized-file, "
        "--extra-files."
    )
    return UsageError(f"No importer knows {source}. Looked for: {looked or 'nothing'}.", hint=hint)


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
