"""``ts.torch_handler.unit_tests.test_utils.model_dir``: files for the tests of handlers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import urlopen

from mar_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["copy_files", "download_model"]


def download_model(model_url: str, model_dir: str | Path) -> None:
    """Fetch a file as ``model.pt``; what has been fetched is kept in ``.cache`` of this folder.

    Args:
        model_url: An ``https``, ``http`` or ``file`` URL.
        model_dir: The folder that gets ``model.pt``.

    Raises:
        UsageError: It is no such URL.
        OSError: It cannot be fetched.
    """
    parts = urlparse(model_url)
    if parts.scheme not in {"https", "http", "file"}:
        raise UsageError(f"{model_url} is no https, http or file URL.")
    cached = Path(".cache", Path(parts.path).name)
    if not cached.exists():
        cached.parent.mkdir(exist_ok=True)
        partial = cached.with_name(f"{cached.name}.{os.getpid()}")
        with urlopen(model_url) as source, partial.open("wb") as target:  # noqa: S310 - as above
            shutil.copyfileobj(source, target)
        partial.replace(cached)
    shutil.copy(cached, Path(model_dir, "model.pt"))


def copy_files(
    src_dir: str | Path, dst_dir: str | Path, files: Mapping[str, str | os.PathLike[str]]
) -> None:
    """Copy files from one folder to another.

    Args:
        src_dir: The folder to copy from.
        dst_dir: The folder to copy to.
        files: New names by old ones.
    """
    for source, target in files.items():
        shutil.copyfile(Path(src_dir, source), Path(dst_dir, target))
