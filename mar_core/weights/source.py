"""What there is to load, and where it goes: one value that every loader takes."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from mar_core.cache.files import ModelFiles
    from mar_core.weights.weights_format import WeightsFormat

__all__ = ["ModelSource", "files_of", "no_advice", "require_trust", "source_of"]

_BASE = "mar_core.ts.base_handler"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """The model of one archive.

    Attributes:
        handler: The handler that asked.
        context: Its context.
        files: The files of the archive.
        model_file: The member that defines the network, or None.
        serialized_file: The member that holds the weights, or None.
        format: What the weights file is, or None where there is none.
        device: Where the model goes.
        trusted: Whether the user has said that what is in the archive may run code when loaded.
    """

    handler: Any
    context: Any
    files: ModelFiles
    model_file: str | None
    serialized_file: str | None
    format: WeightsFormat | None
    device: torch.device
    trusted: bool

    @property
    def name(self) -> str:
        """The weights file as the manifest names it."""
        return self.serialized_file or "no weights file"

    @property
    def kind(self) -> str | None:
        """The name of the format, such as ``safetensors``; None where there is no file."""
        return self.format.name if self.format else None

    @property
    def model_dir(self) -> Path:
        """The folder of the archive, with all of its files. Asked for, it is unpacked.

        Raises:
            ArchiveError: It cannot be unpacked.
        """
        return self.files.unpack_all()

    @property
    def path(self) -> Path | None:
        """The weights file, or None. Asked for, it is unpacked where it was not.

        Raises:
            ArchiveError: It cannot be unpacked.
        """
        return self.files.path(self.serialized_file) if self.serialized_file else None

    @property
    def in_place(self) -> bool:
        """Whether the weights lie in the archive alone: ``open`` and ``view`` cost nothing."""
        return self.serialized_file is not None and self.files.lies_apart(self.serialized_file)

    def open(self) -> BinaryIO:
        """A seekable stream over the weights, wherever they lie.

        Raises:
            ModelError: There is no weights file.
        """
        return self.files.open(self._there())

    def view(self) -> memoryview:
        """The bytes of the weights, mapped: read when used, copied when written to.

        Raises:
            ModelError: There is no weights file.
        """
        return self.files.view(self._there())

    def network(self) -> torch.nn.Module:
        """The network that the model file defines, as its class makes it.

        Raises:
            ModelError: There is no model file, it does not hold exactly one network, or its class
                needs arguments.
        """
        from mar_core.weights.model_file import load_network

        if self.model_file is None:
            raise ModelError(
                "The archive has no model file.", hint="Archive it again with --model-file."
            )
        return load_network(str(self.files.unpack()), self.model_file)

    def place_for(self, method: str) -> Path | None:
        """The weights file as a method of the handler is to be told of it, or None.

        ``BaseHandler``'s own methods read the weights where they lie. One that a handler overrides
        opens the path, so it is there.

        Args:
            method: The method's name.
        """
        if self.serialized_file is None:
            return None
        own = getattr(getattr(self.handler, method), "__module__", None) != _BASE
        return self.path if own or not self.in_place else self.files.folder / self.serialized_file

    def _there(self) -> str:
        if self.serialized_file is None:
            raise ModelError(
                "The archive has no weights file.",
                hint="Archive it again with --serialized-file.",
            )
        return self.serialized_file


def source_of(handler: Any, context: Any) -> ModelSource:
    """Gather what the loaders need.

    Args:
        handler: The handler; its ``device`` says where the model goes, else it is the CPU.
        context: The manifest, and the archive: its ``files``, else the unpacked archive as
            ``system_properties["model_dir"]``.

    Raises:
        ModelError: A file that the manifest names is not there.
    """
    import torch

    from mar_core.weights.registry import identify

    model = (context.manifest or {}).get("model") or {}
    files = files_of(context)
    serialized = model.get("serializedFile") or None
    row = None
    if serialized is not None:
        if serialized not in files:
            raise ModelError(
                f"The weights file {serialized!r} is not in the archive.",
                hint="Archive it again with --serialized-file.",
            )
        with files.open(serialized) as stream:
            row = identify(stream)
    return ModelSource(
        handler=handler,
        context=context,
        files=files,
        model_file=model.get("modelFile") or None,
        serialized_file=serialized,
        format=row,
        device=torch.device(getattr(handler, "device", None) or "cpu"),
        trusted=bool(context.system_properties.get("allow_pickle")),
    )


def files_of(context: Any) -> ModelFiles:
    """The files of a context's archive; TorchServe's own contexts know a folder alone."""
    from mar_core.cache.files import ModelFiles

    files: ModelFiles | None = getattr(context, "files", None)
    return files or ModelFiles(Path(str(context.system_properties.get("model_dir"))))


def require_trust(source: ModelSource, what: str) -> None:
    """Refuse to load what can run any code, unless the user has said that it may.

    Args:
        source: What is about to be loaded.
        what: What it is, for the sentence: ``a pickle that …``.

    Raises:
        ModelError: The user has not.
    """
    if not source.trusted:
        raise ModelError(
            f"{source.name} is {what}.",
            hint="Pass --trust (or --allow-pickle) if you trust whoever made the archive, or trust "
            "it once for all with `mar trust`.",
        )


@contextmanager
def no_advice(name: str) -> Iterator[None]:
    """Keep advice on old files out of the results' way: it is nothing to mend at run time.

    Args:
        name: The logger of torch's that gives it.
    """
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
