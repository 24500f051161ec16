"""``mar archive --from FOLDER``: a folder that timm has saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mar_core import Imported, ModelError, SavedFiles, UsageError
from mar_timm.folder import CONFIG, WEIGHTS, is_timm

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core import ArchiveRequest

__all__ = ["import_folder"]

HANDLER = "timm"
# What else of a model's folder is worth keeping.
KEPT = ("index_to_name.json", "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md")


def import_folder(source: Path, request: ArchiveRequest) -> Imported | None:
    """Say what a folder holds, and what an archive of it needs.

    Args:
        source: The folder.
        request: What the user asked for.

    Returns:
        The request with the handler and the files; None where the folder is none of timm's.

    Raises:
        UsageError: It has no weights.
    """
    files = SavedFiles.in_folder(source)
    if CONFIG not in files:
        return None
    try:
        config = files.json(CONFIG)
    except ModelError:  # who knows whose
        return None
    if not is_timm(config):
        return None
    named = files.first(WEIGHTS)
    weights = request.serialized_file or (source / named if named else None)
    if weights is None:
        raise UsageError(
            f"{source} has a {CONFIG} of timm's and no weights.",
            hint=f"Put {' or '.join(WEIGHTS)} there, or name the file with --serialized-file.",
        )
    architecture = config["architecture"]
    kept = tuple(source / name for name in KEPT if (source / name).is_file())
    return Imported(
        what=f"a model of timm's: {architecture}",
        request=replace(
            request,
            handler=request.handler or HANDLER,
            serialized_file=weights,
            extra_files=(source / CONFIG, *kept),
        ),
        reasons=(
            f"{weights.name} are the weights",
            f"{CONFIG} says that the model is {architecture}, and how pictures are prepared",
        ),
    )
