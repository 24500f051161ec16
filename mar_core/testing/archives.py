"""An archive for a test and what it answers, and an object that is a plugin meanwhile."""

from __future__ import annotations

import contextlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import torch

    from mar_core.plugins import Plugins

__all__ = ["make_archive", "plugin", "run_archive"]


T = TypeVar("T")


def make_archive(
    folder: Path,
    *,
    handler: str | Path,
    model: torch.nn.Module | None = None,
    files: Mapping[str, str | bytes] | None = None,
    config: Mapping[str, Any] | None = None,
    **flags: Any,
) -> Path:
    """Make a model archive in a folder.

    Args:
        folder: Where to make it; what goes into it is put into ``folder / "sources"``.
        handler: As for ``mar archive --handler``.
        model: A network to pack: its state dict as the weights, and, unless ``model_file`` is
            given, the file that defines its class, which must define no other network.
        files: More files, by their name in the archive.
        config: What ``model-config.yaml`` is to hold.
        **flags: Further arguments of ``mar_core.archive``.

    Returns:
        The archive's path.

    Raises:
        MarError: As ``mar_core.archive``.

    Example:
        >>> make_archive(tmp_path, handler="shout", files={"index_to_name.json": '{"0": "cat"}'})
    """
    from mar_core import archive

    sources = folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    if model is not None:
        flags.setdefault("model_file", inspect.getsourcefile(type(model)))
        flags.setdefault("serialized_file", _saved(model, sources / "weights.pt"))
    if config is not None:
        flags.setdefault("config_file", _dumped(config, sources / "model-config.yaml"))
    if files:
        extra = [_written(sources / "extra", name, content) for name, content in files.items()]
        flags["extra_files"] = [*flags.get("extra_files", ()), *dict.fromkeys(extra)]
    flags.setdefault("model_name", "model")
    flags.setdefault("version", "1.0")
    return archive(handler=handler, export_path=folder, **flags)


def run_archive(archive: Path | str, inputs: Iterable[Any], **options: Any) -> list[Any]:
    """Load an archive and answer requests with it.

    Args:
        archive: The archive.
        inputs: As for ``Predictor.predict``.
        **options: Further arguments of ``mar_core.load``.

    Returns:
        One result for each request.

    Raises:
        MarError: The archive is refused, or a request fails.
    """
    from mar_core import load

    with load(archive, **options) as predictor:
        return predictor.predict(inputs)


def _saved(model: torch.nn.Module, path: Path) -> Path:
    import torch

    torch.save(model.state_dict(), path)
    return path


def _dumped(config: Mapping[str, Any], path: Path) -> Path:
    import yaml

    path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    return path


def _written(root: Path, name: str, content: str | bytes) -> str:
    """Write one file below a folder; the ``--extra-files`` word that puts it at its place."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    place = Path(name).parent
    return str(path) if place == Path() else f"{path}={place.as_posix()}/"


@contextlib.contextmanager
def plugin(instance: T, *, name: str | None = None, plugins: Plugins | None = None) -> Iterator[T]:
    """Make an object a plugin until the end of a ``with`` block.

    It is registered as an installed plugin would be, after all others, so that it is asked first.
    Archives that are loaded inside the block see it.

    Args:
        instance: A module, or an object with ``@hookimpl`` methods.
        name: What to call it in messages; its class by default.
        plugins: Where to register it; by default, where this process keeps the installed ones.

    Yields:
        The same object.

    Raises:
        PluginError: A hook of it is misspelt, has a wrong argument, or is a wrapper where none can
            be.

    Example:
        >>> with plugin(Autocast()):
        ...     run_archive("model.mar", [image])
    """
    from mar_core.plugins import get_plugins

    registry = get_plugins() if plugins is None else plugins
    called = str(name or getattr(instance, "__name__", type(instance).__name__))
    registry.register(instance, called)
    try:
        yield instance
    finally:
        registry.unregister(called)
