"""``torch.export`` programs and AOTInductor packages.

Loading one unpickles some of its records without ``weights_only`` and evaluates its expressions:
what they hold is checked here, since torch does not.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.expressions import odd_parts
from mar_core.weights.kinds import WeightsKind, identify
from mar_core.weights.legacy import examine_legacy
from mar_core.weights.pickles import MAX_PICKLE, walk_pickle
from mar_core.weights.report import TensorInfo, WeightsReport
from mar_core.weights.torchzip import examine_torch_zip, note_pickle, sentence
from mar_core.weights.windows import window
from mar_core.weights.zipindex import ZipEntry, check_layout, data_start, read_directory, read_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["examine_exported"]

_MAX_JSON = 32 << 20
_CONFIG = re.compile(r"(data/(?:weights|constants)/)[^/]+_(?:weights|constants)_config\.json")
_FACTORY = re.compile(rb'default_factory_module\\*"\s*:\s*\\*"([^"\\]*)')
# torch/_export/serde: the numbers of its dtypes.
_SCALARS = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16",
    28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz",
    32: "float8_e5m2fnuz", 33: "float8_e8m0fnu", 34: "uint32", 35: "uint64",
}  # fmt: skip


def examine_exported(stream: BinaryIO, kind: WeightsKind) -> WeightsReport:
    """Look at a ``torch.export`` program or an AOTInductor package.

    Args:
        stream: The file, seekable.
        kind: ``EXPORTED`` or ``AOTINDUCTOR``.
    """
    report = WeightsReport(kind=kind)
    try:
        entries = read_directory(stream)
        check_layout(stream, entries)
        records = _records(entries)
        for name, record in records.items():
            _examine_record(stream, name, record, report)
        for name in records:
            folder = _CONFIG.fullmatch(name)
            if folder:
                _examine_payload(stream, folder[1], _json(stream, records[name]), records, report)
    except (ModelError, ValueError, RecursionError) as error:
        report.fault("MAR-W008", sentence(f"the file is no exact export: {error}"))
    report.listed = kind is WeightsKind.EXPORTED and bool(report.tensors) and not report.faults
    return report


def _records(entries: list[ZipEntry]) -> dict[str, ZipEntry]:
    names = [entry.name for entry in entries]
    if "serialized_exported_program.json" in names:  # torch.export before 2.8 has no folder
        return dict(zip(names, entries, strict=True))
    prefix = names[0].partition("/")[0] + "/"
    return {entry.name.removeprefix(prefix): entry for entry in entries}


def _examine_record(stream: BinaryIO, name: str, record: ZipEntry, report: WeightsReport) -> None:
    if name.endswith(".pt"):
        _examine_nested(stream, name, record, report)
    elif "/opaque_obj_" in name:
        _examine_pickle(stream, name, record, report)
    elif name.startswith("models/") or name == "serialized_exported_program.json":
        _examine_program(stream, name, record, report)


def _examine_nested(stream: BinaryIO, name: str, record: ZipEntry, report: WeightsReport) -> None:
    """A ``torch.save`` inside, which torch loads without ``weights_only``."""
    inner = _open(stream, record)
    kind = identify(inner)
    if kind is WeightsKind.TORCH:
        found = examine_torch_zip(inner, kind)
    elif kind is WeightsKind.TORCH_LEGACY:
        found = examine_legacy(inner)
    elif kind is not WeightsKind.EMPTY:
        report.fault("MAR-W003", f"Its {name} is no state dict, and torch would unpickle it.")
        return
    else:
        return
    report.pickled_code.extend(found.pickled_code)
    for fault in found.faults:
        report.fault(fault.code, f"In its {name}: {fault.message}")


def _examine_pickle(stream: BinaryIO, name: str, record: ZipEntry, report: WeightsReport) -> None:
    walked = walk_pickle(read_entry(stream, record, limit=MAX_PICKLE))
    note_pickle(report, walked, f"its {name}", strict=False)


def _examine_program(stream: BinaryIO, name: str, record: ZipEntry, report: WeightsReport) -> None:
    if record.size > _MAX_JSON:
        report.fault("MAR-W005", f"Its {name} is {record.size:,} bytes long.")
        return
    raw = read_entry(stream, record, limit=_MAX_JSON)
    factories = {found.decode() for found in _FACTORY.findall(raw)} - {"builtins", "collections"}
    odd = [f"a factory of the module {name!r}" for name in sorted(factories)]
    odd.extend(odd_parts(json.loads(raw)))
    for part in dict.fromkeys(odd[:5]):
        report.fault("MAR-W011", f"Its {name} holds {part}.")


def _examine_payload(
    stream: BinaryIO,
    folder: str,
    config: Any,
    records: dict[str, ZipEntry],
    report: WeightsReport,
) -> None:
    """The tensors of ``*_weights_config.json``; pickled ones are walked."""
    for name, entry in _entries(config):
        path = f"{folder}{entry.get('path_name')}"
        record = records.get(path)
        if record is None:
            report.fault("MAR-W007", f"Its tensor {name!r} has no data.")
        elif entry.get("use_pickle"):
            _examine_nested(stream, path, record, report)
        elif isinstance(entry.get("tensor_meta"), dict):
            info = _tensor(stream, name, entry["tensor_meta"], record)
            if info is None:
                report.fault("MAR-W007", f"Its tensor {name!r} reaches beyond its data.")
            elif folder == "data/weights/":
                report.tensors.append(info)


def _entries(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    entries = config.get("config") if isinstance(config, dict) else None
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise ValueError("its list of tensors is damaged")
    yield from entries.items()


def _tensor(
    stream: BinaryIO, name: str, meta: dict[str, Any], record: ZipEntry
) -> TensorInfo | None:
    shape, strides = _sizes(meta.get("sizes")), _sizes(meta.get("strides"))
    offset = _sizes([meta.get("storage_offset")])
    dtype = _SCALARS.get(meta.get("dtype", 0))
    if len(shape) != len(strides) or dtype is None:
        raise ValueError(f"its tensor {name!r} is described incompletely")
    info = TensorInfo(
        name=name,
        dtype=dtype,
        shape=shape,
        strides=strides,
        start=data_start(stream, record) if record.stored else None,
        storage_bytes=record.size,
        offset=offset[0],
        storage=record.name,
    )
    return None if info.overruns else info


def _sizes(values: Any) -> tuple[int, ...]:
    sizes: list[int] = []
    for value in values or ():
        size = value.get("as_int") if isinstance(value, dict) else None
        if type(size) is not int or size < 0:
            raise ValueError("it has a tensor whose size is no number")
        sizes.append(size)
    return tuple(sizes)


def _json(stream: BinaryIO, record: ZipEntry) -> Any:
    return json.loads(read_entry(stream, record, limit=_MAX_JSON))


def _open(stream: BinaryIO, record: ZipEntry) -> BinaryIO:
    if record.stored:
        return window(stream, start=data_start(stream, record), length=record.size)
    return io.BytesIO(read_entry(stream, record, limit=MAX_PICKLE))
