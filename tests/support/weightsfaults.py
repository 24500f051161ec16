"""Weights files with one fault each, next to the sound ones that they are made from."""

from __future__ import annotations

import json
import struct
from typing import Any

import weightsfiles


def safetensors_with(header: Any, body: bytes = b"", *, length: int | None = None) -> bytes:
    """A safetensors file with this header."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


def entry(shape: list[int], span: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": span}


_SOUND = entry([2], [0, 8])
EIGHT = bytes(8)

# Each with what is said of it: one fault must not be caught by accident, by the rule for another.
SAFETENSORS: dict[str, tuple[str, bytes]] = {
    "a hole": (
        "a hole or an overlap before its tensor 'b'",
        safetensors_with({"a": entry([1], [0, 4]), "b": entry([1], [8, 12])}, bytes(12)),
    ),
    "an overlap": (
        "a hole or an overlap before its tensor 'b'",
        safetensors_with({"a": _SOUND, "b": entry([1], [4, 8])}, EIGHT),
    ),
    "bytes behind": ("take 8 bytes and the file has 9", safetensors_with({"a": _SOUND}, bytes(9))),
    "bytes before": (
        "a hole or an overlap before its tensor 'a'",
        safetensors_with({"a": entry([2], [1, 9])}, bytes(9)),
    ),
    "too short": ("take 8 bytes and the file has 7", safetensors_with({"a": _SOUND}, bytes(7))),
    "a header past the end": ("it says that it is 99 bytes", safetensors_with({}, length=99)),
    "span and shape differ": (
        "a span that is not as long as its shape",
        safetensors_with({"a": entry([3], [0, 8])}, EIGHT),
    ),
    "an unknown dtype": (
        "an unknown dtype",
        safetensors_with({"a": entry([2], [0, 8], "F33")}, EIGHT),
    ),
    "a dtype that is no string": (
        "an unknown dtype",
        safetensors_with({"a": {**_SOUND, "dtype": ["F32"]}}, EIGHT),
    ),
    "a negative size": ("no proper shape", safetensors_with({"a": entry([-2], [0, 8])}, EIGHT)),
    "a negative place": ("no proper shape", safetensors_with({"a": entry([2], [-8, 0])}, EIGHT)),
    "three places": ("no proper shape", safetensors_with({"a": entry([2], [0, 8, 8])}, EIGHT)),
    "a shape that is no list": (
        "no proper shape",
        safetensors_with({"a": {**_SOUND, "shape": 2}}, EIGHT),
    ),
    "a fraction": ("no proper shape", safetensors_with({"a": {**_SOUND, "shape": [2.0]}}, EIGHT)),
    "a truth value": (
        "no proper shape",
        safetensors_with({"a": entry([True, 2], [0, 8])}, EIGHT),
    ),
    "a missing key": (
        "described incompletely",
        safetensors_with({"a": {"dtype": "F32", "shape": [2]}}, EIGHT),
    ),
    "a list for a tensor": ("described incompletely", safetensors_with({"a": []})),
    "metadata that is no text": ("metadata must be", safetensors_with({"__metadata__": {"a": 1}})),
    "metadata that is no object": ("metadata must be", safetensors_with({"__metadata__": "x"})),
    "no JSON": ("it is not JSON", safetensors_with(b"{]")),
    "NaN": ("it holds NaN", safetensors_with(b'{"a":NaN}')),
    "not UTF-8": ("it is not UTF-8", safetensors_with(b'{"\xff":1}')),
    "a long number": ("a number that is too long", safetensors_with(b'{"a":' + b"1" * 21 + b"}")),
    "half of a letter for a name": (
        "a name that is no text",
        safetensors_with(b'{"\\ud800":' + json.dumps(_SOUND).encode() + b"}", EIGHT),
    ),
    "nested deeply": (
        "recursion",
        safetensors_with(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ),
}

_TWICE = b"%b,%b" % (b'{"a":' + json.dumps(_SOUND).encode(), b'"a":' + json.dumps(_SOUND).encode())
# What the library itself still takes.
STRICTER: dict[str, tuple[str, bytes]] = {
    "an extra key": (
        "described incompletely",
        safetensors_with({"a": {**_SOUND, "x": 1}}, EIGHT),
    ),
    "a name twice": ("it has a key twice", safetensors_with(_TWICE + b"}", EIGHT)),
    "many dimensions": (
        "has 65 dimensions",
        safetensors_with({"a": entry([1] * 65, [0, 4])}, bytes(4)),
    ),
}

_ZIP = weightsfiles.state_dict()


def _torch_zips() -> dict[str, tuple[str, bytes]]:
    base = weightsfiles.with_record(_ZIP, "byteorder", b"little")
    return {
        "a storage is missing": ("MAR-W007", weightsfiles.with_record(base, "data/1", None)),
        "a storage is short": ("MAR-W007", weightsfiles.with_record(base, "data/1", bytes(8))),
        "a storage is long": ("MAR-W007", weightsfiles.with_record(base, "data/1", bytes(16))),
        "cut off": ("MAR-W008", _ZIP[:-30]),
        "bytes behind": ("MAR-W008", base + b"PK"),
        "bytes before": ("MAR-W008", b"PK\x03\x04" + bytes(60) + base),
        "another name": ("MAR-W007", _renamed(base, b"/data/1", b"/dota/1")),
        "another folder": ("MAR-W008", _renamed(base, b"archive/version", b"archivo/version")),
        "two names": ("MAR-W008", base.replace(b"/data/2", b"/data/3", 1)),
        "a record twice": ("MAR-W008", _renamed(base, b"/data/2", b"/data/3")),
        "twice but for case": ("MAR-W008", _renamed(base, b"/data/2", b"/DATA/3")),
        "encrypted": ("MAR-W008", _flagged(base)),
        "a damaged pickle": ("MAR-W006", weightsfiles.with_record(base, "data.pkl", b"\x80\x02")),
        "more behind the pickle": (
            "MAR-W006",
            weightsfiles.with_record(base, "data.pkl", b"\x80\x02N.N."),
        ),
        "a foreign opcode": (
            "MAR-W004",
            weightsfiles.with_record(base, "data.pkl", b"\x80\x04I1\n."),
        ),
        "the CRC is wrong": ("MAR-W008", _with_bad_crc(base)),
        "a tensor overruns": ("MAR-W007", _overrun()),
    }


def _renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """The file with one record called otherwise at both ends."""
    assert data.count(old) == 2
    return data.replace(old, new)


def _flagged(data: bytes) -> bytes:
    at = data.index(b"PK\x01\x02") + 8
    return data[:at] + b"\x01\x00" + data[at + 2 :]


def _with_bad_crc(data: bytes) -> bytes:
    name = data.index(b"/data.pkl") + len("/data.pkl")
    return data[:name] + bytes([data[name] ^ 1]) + data[name + 1 :]


def _overrun() -> bytes:
    import zipfile
    from io import BytesIO

    with zipfile.ZipFile(BytesIO(_ZIP)) as source:
        raw = source.read("archive/data.pkl")
    # float32[3, 4]: the sizes of the first tensor.
    assert raw.count(b"K\x03K\x04\x86") == 1
    return weightsfiles.with_record(
        _ZIP, "data.pkl", raw.replace(b"K\x03K\x04\x86", b"K\x04K\x04\x86")
    )


TORCH_ZIPS = _torch_zips()

_LEGACY = weightsfiles.legacy()
LEGACY: dict[str, bytes] = {
    "cut off": _LEGACY[:-4],
    "bytes behind": _LEGACY + b"x",
    "only pickles": _LEGACY[: _LEGACY.rindex(b"a.") + 2] if b"a." in _LEGACY else _LEGACY[:200],
    "another protocol": _LEGACY.replace(b"M\xe9\x03.", b"M\xe8\x03.", 1),
}
