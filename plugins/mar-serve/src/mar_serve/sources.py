"""Where models may come from: the model store, allowed URLs, and nowhere else."""

from __future__ import annotations

import contextlib
import logging
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core import MarError, UsageError
from mar_serve.download import Forbidden, download
from mar_serve.errors import ServeError, internal, model_not_found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core import ArchiveRequest
    from mar_serve.config import ModelSource, ServerConfig

__all__ = ["Found", "fetched", "from_start", "in_store", "registered", "target_in"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ENDINGS = (".mar", ".tar.gz", ".tgz")
# Names no address: what is downloaded by it is looked at for private ones.
ANY_URL = r"(?:https?|file)://.*"

logger = logging.getLogger("mar_serve.models")


@dataclass(frozen=True, slots=True)
class Found:
    """A model that was found.

    Attributes:
        source: The archive, or the sources of one that was never packed.
        url: What it is called towards clients: never a path of this machine.
        fetched: Whether it was brought into the model store for this, and leaves it with the model.
    """

    source: Path | ArchiveRequest
    url: str
    fetched: bool = False

    def discard(self) -> None:
        """Remove what was brought into the model store for this."""
        if self.fetched and isinstance(self.source, Path):
            with contextlib.suppress(OSError):
                self.source.unlink()


def from_start(source: ModelSource, config: ServerConfig) -> Found:
    """A model that the user named on the command line: any path is fine there.

    Raises:
        UsageError: It is not there.
        ServeError: It is a URL that is not allowed.
    """
    word = source.source
    if not isinstance(word, str):
        return Found(word, word.model_name)
    if _SCHEME.match(word):
        return fetched(word, config)
    path = Path(word)
    if not path.exists() and config.model_store is not None:
        path = config.model_store / word
    if not path.exists():
        store = f" nor in {config.model_store}" if config.model_store else ""
        raise UsageError(f"There is no model at {word}{store}.")
    return Found(path, path.name)


def in_store(config: ServerConfig) -> Iterator[Found]:
    """Everything in the model store that may be a model."""
    if config.model_store is None:
        raise UsageError("--models all needs --model-store.")
    for path in sorted(config.model_store.iterdir()):
        if path.name.endswith(_ENDINGS) or (path / "MAR-INF" / "MANIFEST.json").is_file():
            yield Found(path, path.name)


def registered(url: str, config: ServerConfig) -> Found:
    """A model that a client of the management API named.

    Raises:
        ServeError: It may not come from there, or is not there.
    """
    if not url:
        raise model_not_found("empty url")
    if ".." in re.split(r"[/\\]", urllib.parse.unquote(url)):
        raise model_not_found(f"Relative path is not allowed in url: {url}")
    if _SCHEME.match(url):
        return fetched(url, config)
    store = config.model_store
    if store is None:
        raise model_not_found("Model store has not been configured.")
    try:
        home = store.resolve(strict=True)
        path = (home / url).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise model_not_found(f"Model not found at: {url}") from None
    if home not in path.parents:  # an absolute path, or a symbolic link out of the store
        raise model_not_found(f"Model not found at: {url}")
    return Found(path, url)


def fetched(url: str, config: ServerConfig, folder: Path | None = None) -> Found:
    """A file behind a URL, brought into the model store or another folder.

    Args:
        url: The URL.
        config: What says whether it may be fetched.
        folder: Where the file goes; None is the model store.

    Raises:
        ServeError: The URL is not allowed, or nothing can be had there.
    """
    allowed = config.allowed_urls or ((ANY_URL,) if config.open_urls else ())
    if not any(re.fullmatch(pattern, url) for pattern in allowed):
        raise model_not_found(f"Given URL {url} does not match any allowed URL(s)")
    folder = folder or config.model_store
    if folder is None:
        raise model_not_found("Model store has not been configured.")
    name = urllib.parse.unquote(url.partition("?")[0].rstrip("/")).rpartition("/")[2]
    target = target_in(folder, name)
    if target.exists():
        raise internal(f"Model file already exists {name}")
    try:
        download(url, target, allowed=allowed)
    except Forbidden:
        raise model_not_found(f"Given URL {url} does not match any allowed URL(s)") from None
    except (OSError, ValueError, MarError) as error:
        logger.warning("%s cannot be downloaded: %s", url, error)
        raise ServeError(
            400, "DownloadArchiveException", f"Failed to download archive from: {url}"
        ) from None
    return Found(target, url, fetched=True)


def target_in(store: Path, name: str) -> Path:
    """Where a file of that name goes in the model store.

    Raises:
        ServeError: It is no file name.
    """
    plain = name not in {"", ".", ".."} and name.isprintable() and not set(name) & set("/\\\0")
    if not plain or len(name.encode()) > 200:  # noqa: PLR2004 - file systems take 255 bytes
        raise ServeError(400, "DownloadArchiveException", "The URL does not end in a file's name.")
    return store / name
