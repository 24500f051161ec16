"""A format of weights, and what it works with: the file, the report, the source to load."""

from __future__ import annotations

import enum
import functools
import io
import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.allowed import ELEMENT_BYTES
from mar_core.weights.streams import Allowance, window
from mar_core.weights.zipindex import ZipEntry, data_start, read_directory, read_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import torch

    from mar_core.cache.files import ModelFiles
    from mar_core.weights.pickles import PickleReport

__all__ = [
    "PICKLE_RANK", "Fault", "ModelSource", "TensorInfo", "Trust", "WeightsFile", "WeightsFormat",
    "WeightsReport", "contiguous", "require_trust",
]  # fmt: skip

_HEAD = 512
_ZIP = b"PK\x03\x04"
_ZIP_END, _ZIP_COMMENT = 22, (1 << 16) - 1  # the record that ends a zip, and the longest behind it
_END_MARK = b"PK\x05\x06"
_LOCATOR, _LARGE_END = 20, 56  # what stands before that in a zip of 64 bits
_RECORD = 2048  # what reading one record of a zip's directory costs, in bytes read
_LOOK = 8192  # what it costs to tell what one file is
_BASE = "mar_core.ts.base_handler"
# The rank of pickles: of what is asked before them, it is not known that it is none.
PICKLE_RANK = 20


class Trust(enum.StrEnum):
    """What loading a file of a format may do.

    Attributes:
        DATA: Nothing but make tensors.
        PROGRAM: Run a program that the framework keeps away from Python.
        PYTHON: Run any code, with the user's rights.
    """

    DATA = "data"
    PROGRAM = "program"
    PYTHON = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFormat:
    """A format of weights: how a file of it is known, looked at, and loaded.

    Attributes:
        name: What it is called in output, such as ``safetensors``; no two formats share one.
        title: What a file of it is, for sentences: ``a safetensors file``.
        trust: What loading a file of it may do. ``PYTHON`` is loaded on the user's word alone.
        identify: Says of a file whether it is of this format, from a few kilobytes. It must not
            load, import or unpickle anything.
        examine: Looks for faults and lists the tensors, under the same condition; None where there
            is nothing to see.
        load: Loads a file; None where the handler or a plugin's ``mar_load_model`` has to.
        in_place: Whether ``load`` takes the weights from where they lie in the archive, by the
            source's ``open`` or ``view``. Else the file is unpacked, which ``path`` does.
        carries_structure: Whether a file holds the network itself and needs no model file.
        endings: Endings that say that a file is of this format, such as ``.safetensors``.
        written_by: What writes such files, for the reference.
        loaded_by: How it is loaded, for the reference.
        hint: What to do where nothing loads it.
        rank: Where several formats know a file, the one of the lowest rank is asked first.
    """

    name: str
    title: str
    trust: Trust
    identify: Callable[[WeightsFile], bool]
    examine: Callable[[WeightsFile, WeightsReport], None] | None = None
    load: Callable[[ModelSource], object] | None = None
    in_place: bool = False
    carries_structure: bool = False
    endings: tuple[str, ...] = ()
    written_by: str = ""
    loaded_by: str = ""
    hint: str = ""
    rank: int = 10


class WeightsFile:
    """A file that is looked at, by its bytes alone.

    Args:
        stream: The file, seekable.
        budget: What looking at it may cost.
        formats: The formats that it may be of; None stands for those that are known here.
        depth: How many other files it lies in.

    Attributes:
        stream: The same; read it at any place and leave it anywhere.
        budget: The same.
        formats: The same.
        depth: The same.
        size: Its length in bytes.
        head: Its first 512 bytes.
        zip_fault: Why it is no exact zip; None where it is one, or does not begin as one.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        budget: Allowance | None = None,
        formats: tuple[WeightsFormat, ...] | None = None,
        depth: int = 0,
    ) -> None:
        self.stream = stream
        self.formats = formats
        self.budget = budget or Allowance()
        self.depth = depth
        self.budget.spend(_LOOK)
        self.size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        self.head = stream.read(_HEAD)
        self.zip_fault: str | None = None

    @functools.cached_property
    def entries(self) -> list[ZipEntry]:
        """The records of its zip, in the order of the directory; none where it is no zip."""
        if not self.head.startswith(_ZIP):
            return []
        try:
            entries = read_directory(self.stream)
        except ModelError as error:
            self.zip_fault = str(error)
            return []
        self.budget.spend(len(entries) * _RECORD)
        return entries

    @functools.cached_property
    def records(self) -> dict[str, ZipEntry]:
        """The records of its zip below the folder that PyTorch puts all of them in.

        By names in lower case: PyTorch's reader of zips ignores case.
        """
        prefix = self.prefix.lower()
        return {
            name.removeprefix(prefix): entry
            for name, entry in ((entry.name.lower(), entry) for entry in self.entries)
            if name.startswith(prefix)
        }

    @property
    def prefix(self) -> str:
        """The folder of the first record, with its slash."""
        return self.entries[0].name.partition("/")[0] + "/" if self.entries else "/"

    @functools.cached_property
    def hidden_zip(self) -> BinaryIO | None:
        """The zip that it ends as, which readers go by, where it begins as something else."""
        if self.head.startswith(_ZIP):
            return None
        self.stream.seek(max(0, self.size - _ZIP_END - _ZIP_COMMENT))
        tail = self.stream.read(_ZIP_END + _ZIP_COMMENT)
        # Torch's reader looks for an earlier end where one is cut off; Python's goes by the last.
        at = tail.rfind(_END_MARK, 0, max(0, len(tail) - _ZIP_END + len(_END_MARK)))
        while at >= 0:
            found = self._zip_to(tail[max(0, at - _LOCATOR) : at + _ZIP_END], len(tail) - at)
            if found is not None:
                return found
            at = tail.rfind(_END_MARK, 0, at)
        return None

    def _zip_to(self, records: bytes, behind: int) -> BinaryIO | None:
        """The zip that ends with these records, so many bytes before the end; None for none."""
        locator, record = records[:-_ZIP_END], records[-_ZIP_END:]
        length, offset = (int.from_bytes(record[at : at + 4], "little") for at in (12, 16))
        end = directory_end = self.size - behind
        large = locator.startswith(b"PK\x06\x07")
        if large:
            directory_end -= _LOCATOR + _LARGE_END
            self.stream.seek(max(0, directory_end))
            more = self.stream.read(_LARGE_END)
            length, offset = (int.from_bytes(more[at : at + 8], "little") for at in (40, 48))
        # Four bytes may come about by chance; that the directory is there may not. Python takes it
        # to stand before them, torch to stand where they say.
        begin = directory_end - length
        if not large and not (length and any(map(self._has_entry, (begin, offset)))):
            return None
        start = min(max(0, begin - offset), end)
        stop = min(self.size, end + _ZIP_END + int.from_bytes(record[20:22], "little"))
        return window(self.stream, start=start, length=stop - start)

    def _has_entry(self, place: int) -> bool:
        """Whether a zip's directory may begin there."""
        if not 0 <= place < self.size:
            return False
        self.stream.seek(place)
        return self.stream.read(4) == b"PK\x01\x02"

    @functools.cached_property
    def first_pickle(self) -> PickleReport:
        """What it would be to who unpickles it."""
        from mar_core.weights.pickles import walk_pickle

        return walk_pickle(self.stream, budget=self.budget, plain=True)

    @contextmanager
    def record(self, entry: ZipEntry) -> Iterator[BinaryIO]:
        """A seekable stream over one record.

        Raises:
            ModelError: It is damaged.
        """
        if entry.stored:
            yield window(self.stream, start=data_start(self.stream, entry), length=entry.size)
        else:
            self.budget.spend(entry.size + entry.compressed_size)
            yield io.BytesIO(read_entry(self.stream, entry, limit=entry.size))

    def inner(self, stream: BinaryIO) -> WeightsFile:
        """A file that lies in this one."""
        return WeightsFile(stream, budget=self.budget, formats=self.formats, depth=self.depth + 1)

    def rest(self, start: int) -> BinaryIO:
        """A seekable stream over what stands behind a place."""
        return window(self.stream, start=start, length=self.size - start)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a weights file.

    Attributes:
        code: The rule that it breaks, such as ``MAR-W003``.
        message: One sentence.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor of a weights file, not read.

    Attributes:
        name: Its name, as in the state dict where there is one.
        dtype: The type of its elements by PyTorch's name, such as ``float32``.
        shape: Its sizes.
        strides: The elements between neighbours along each dimension; by default those of a tensor
            that lies there row by row.
        start: The file offset in bytes of its storage, or None when it does not lie there as it is.
        storage_bytes: The length of its storage.
        offset: The elements of the storage before its first.
        storage: What tells its storage from others; tensors that share one have the same.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] = ()
    start: int | None
    storage_bytes: int
    offset: int = 0
    storage: str = ""

    def __post_init__(self) -> None:
        if not self.strides:
            object.__setattr__(self, "strides", contiguous(self.shape))

    @property
    def numel(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def overruns(self) -> bool:
        """Whether it reaches beyond its storage."""
        if self.numel == 0:
            return False
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        needed = (self.offset + reach + 1) * ELEMENT_BYTES.get(self.dtype, 1)
        return needed > self.storage_bytes


@dataclass(slots=True, kw_only=True)
class WeightsReport:
    """What a weights file is and holds.

    Attributes:
        format: What it is.
        faults: What is wrong with it.
        tensors: Its tensors where the format has a list of them, else empty.
        listed: Whether ``tensors`` is complete.
        pickled_code: Names outside torch's list that loading it would import.
        external: Files beside it that hold some of its data.
    """

    format: WeightsFormat
    faults: list[Fault] = field(default_factory=list)
    tensors: list[TensorInfo] = field(default_factory=list)
    listed: bool = False
    pickled_code: list[str] = field(default_factory=list)
    external: list[str] = field(default_factory=list)

    def fault(self, code: str, message: str) -> None:
        """Note something wrong."""
        found = Fault(code, message)
        if found not in self.faults:
            self.faults.append(found)

    @property
    def dtypes(self) -> dict[str, int]:
        """Elements by dtype, the most frequent first; what is shared is counted once."""
        distinct = {(t.storage or t.name, t.offset, t.shape): t for t in self.tensors}
        counts: Counter[str] = Counter()
        for tensor in distinct.values():
            counts[tensor.dtype] += tensor.numel
        return dict(counts.most_common())

    @property
    def parameters(self) -> int:
        """Elements of all tensors, buffers included; what is shared is counted once."""
        return sum(self.dtypes.values())


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor of that shape that lies in memory row by row."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


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
