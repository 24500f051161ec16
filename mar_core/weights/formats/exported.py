"""``torch.export`` programs.

Loading one evaluates its expressions, runs code made of its guards and unpickles some of its
records: it is Python. Its tensors are listed, and nothing is vouched for. One that was exported for
batches of one size is called with batches of any size.
"""

from __future__ import annotations

import json
import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError
from mar_core.text import first_line
from mar_core.weights.rebuild import are_sizes
from mar_core.weights.weights_format import TensorInfo, Trust, WeightsFormat, require_trust
from mar_core.weights.zipindex import data_start, read_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch
    from torch.export import ExportedProgram

    from mar_core.weights.weights_format import ModelSource, WeightsFile, WeightsReport
    from mar_core.weights.zipindex import ZipEntry

__all__ = ["FORMAT", "AnyBatch", "list_payloads", "no_advice"]

_MAX_JSON = 4 << 20
_PARSING = 64  # what parsing a byte of JSON costs, in bytes read
_CONFIG = re.compile(r"(data/(?:weights|constants)/)[^/]+_(?:weights|constants)_config\.json")
# torch/_export/serde: the numbers of its dtypes.
_SCALARS = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16",
    28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz",
    32: "float8_e5m2fnuz", 33: "float8_e8m0fnu", 34: "uint32", 35: "uint64",
}  # fmt: skip


def _identify(file: WeightsFile) -> bool:
    names = {entry.name.lower() for entry in file.entries}
    # Before torch 2.8 there was no folder, and its program is a JSON file beside two pickles.
    return any(name.startswith("serialized_") for name in names) or (
        "archive_format" in file.records and any(n.startswith("models/") for n in file.records)
    )


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    report.fault(
        "MAR-W011",
        "The file is a torch.export program, and loading it evaluates what is in it as Python.",
    )
    report.listed = list_payloads(file, report) and bool(report.tensors)


def list_payloads(file: WeightsFile, report: WeightsReport) -> bool:
    """List the tensors that the file's configs describe.

    Args:
        file: The file.
        report: Where they go.

    Returns:
        Whether all of them could be read.
    """
    try:
        for name, record in file.records.items():
            folder = _CONFIG.fullmatch(name)
            if folder:
                report.tensors.extend(_payloads(file, folder[1], record))
    except (ModelError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        report.tensors.clear()
        return False
    return True


def _payloads(file: WeightsFile, folder: str, config: ZipEntry) -> Iterator[TensorInfo]:
    file.budget.spend(min(config.size, _MAX_JSON) * _PARSING)
    for name, entry in json.loads(read_entry(file.stream, config, limit=_MAX_JSON))[
        "config"
    ].items():
        record = file.records[f"{folder}{entry['path_name']}".lower()]
        if not entry["use_pickle"] and entry["tensor_meta"] is not None:
            yield _tensor(file, name, entry["tensor_meta"], record)


def _tensor(file: WeightsFile, name: str, meta: dict[str, Any], record: ZipEntry) -> TensorInfo:
    shape, strides, offset = (
        tuple(part["as_int"] for part in parts)
        for parts in (meta["sizes"], meta["strides"], [meta["storage_offset"]])
    )
    if not all(map(are_sizes, (shape, strides, offset))) or len(shape) != len(strides):
        raise ValueError
    info = TensorInfo(
        name=name,
        dtype=_SCALARS[meta["dtype"]],
        shape=shape,
        strides=strides,
        start=data_start(file.stream, record) if record.stored else None,
        storage_bytes=record.size,
        offset=offset[0],
        storage=record.name,
    )
    if info.overruns:
        raise ValueError
    return info


def _load(source: ModelSource) -> Any:
    """Load an exported program as a module on the device.

    A program that was exported for one batch size is called as often as that asks for.

    Raises:
        ModelError: The user has not said that the archive is trusted; or the file is damaged, or
            made by another version of PyTorch.
    """
    require_trust(source, "a torch.export program, and loading it can run any code")
    import torch

    try:
        with no_advice("torch.export.pt2_archive._package"), source.open() as stream:
            program = torch.export.load(stream if source.in_place else str(source.path))
    except Exception as error:  # torch.export raises nearly anything
        reason = first_line(error) if str(error).strip() else "it is damaged"
        raise ModelError(
            f"{source.name} is an exported program that cannot be loaded: {reason}.",
            hint="Export it again with the PyTorch that is installed here.",
        ) from error
    module = _fixed_in_evaluation(_on_device(program, source.device).module())
    size = _batch_size(program)
    return module if size is None else AnyBatch(module, size=size)


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


def _on_device(program: ExportedProgram, device: torch.device) -> ExportedProgram:
    """The program on a device; it was exported for one."""
    from torch.export.passes import move_to_device_pass

    places = {tensor.device.type for tensor in program.state_dict.values()}
    if not places or places == {device.type} == {"cpu"}:
        return program
    return move_to_device_pass(program, str(device))


def _fixed_in_evaluation(module: torch.nn.Module) -> torch.nn.Module:
    """Exported in one mode, it has no other; ``eval()`` would raise."""
    module.eval = lambda: module  # type: ignore[method-assign]
    module.train = lambda mode=True: module  # type: ignore[method-assign] # noqa: ARG005
    return module


def _batch_size(program: ExportedProgram) -> int | None:
    """The size of the first dimension of all tensors that the program takes, if it is fixed."""
    wanted = set(program.graph_signature.user_inputs)
    shapes = [
        node.meta["val"].shape
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in wanted and hasattr(node.meta["val"], "shape")
    ]
    sizes = [shape[0] if len(shape) else None for shape in shapes]
    fixed = {size for size in sizes if isinstance(size, int)}  # one that may vary is a SymInt
    everywhere = len(fixed) == 1 and all(isinstance(size, int) for size in sizes)
    return fixed.pop() if everywhere else None


class AnyBatch:
    """Calls a model as often as its batch size asks for, and puts the outputs together.

    A last batch that is short is filled up with copies of its last item, whose outputs are
    dropped.

    Args:
        model: The model.
        size: The batch size that it takes; None until it is known.
        complaint: Finds that size in what the model raises at another.
    """

    def __init__(
        self, model: Any, *, size: int | None = None, complaint: re.Pattern[str] | None = None
    ) -> None:
        self._model = model
        self._size = size
        self._complaint = complaint

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model.

        Args:
            *args: Tensors of shape ``[batch, …]``; anything else is handed on as it is.
            **kwargs: The same, by name.

        Returns:
            What the model returns, for the whole batch.
        """
        if self._size is None:
            try:
                return self._model(*args, **kwargs)
            except RuntimeError as error:
                self._size = self._expected(error)
                if self._size is None:
                    raise
        return _in_batches(self._model, self._size, args, kwargs)

    def _expected(self, error: RuntimeError) -> int | None:
        found = self._complaint.search(str(error)) if self._complaint else None
        return int(found[1]) if found else None

    def eval(self) -> AnyBatch:
        """Itself: what is exported has no training mode."""
        return self

    def train(self, mode: bool = True) -> AnyBatch:  # noqa: ARG002, FBT001, FBT002 - torch's signature
        """Itself: what is exported has no training mode."""
        return self

    def to(self, *_: Any, **__: Any) -> AnyBatch:
        """Itself: what is exported is on its device already."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name == "_model":  # asked for before __init__ has run, as copy does
            raise AttributeError(name)
        return getattr(self._model, name)


def _in_batches(
    model: Callable[..., Any], size: int, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    total = next((len(value) for value in [*args, *kwargs.values()] if _is_batch(value)), size)
    if total == size:
        return model(*args, **kwargs)
    outputs = []
    for start in range(0, total, size):
        part = [_part(value, start, size, total) for value in args]
        named = {name: _part(value, start, size, total) for name, value in kwargs.items()}
        outputs.append(model(*part, **named))
    return _join(outputs, total)


def _is_batch(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and value.ndim > 0


def _part(value: Any, start: int, size: int, total: int) -> Any:
    if not _is_batch(value) or len(value) != total:
        return value
    part = value[start : start + size]
    missing = size - len(part)
    return part if not missing else _concatenate([part, *[part[-1:]] * missing])


def _join(outputs: list[Any], total: int) -> Any:
    first = outputs[0]
    if isinstance(first, dict):
        return {key: _join([output[key] for output in outputs], total) for key in first}
    if isinstance(first, (list, tuple)):
        return type(first)(_join(list(parts), total) for parts in zip(*outputs, strict=True))
    return _concatenate(outputs)[:total] if _is_batch(first) else first


def _concatenate(parts: list[Any]) -> Any:
    import torch

    return torch.cat(parts)


FORMAT = WeightsFormat(
    name="torch-export",
    title="a torch.export program",
    trust=Trust.PYTHON,
    identify=_identify,
    examine=_examine,
    load=_load,
    in_place=True,
    carries_structure=True,
    endings=(".pt2",),
    written_by="`torch.export.save`",
    loaded_by="`torch.export.load`",
    rank=1,
)
