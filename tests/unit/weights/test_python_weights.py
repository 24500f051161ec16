"""Weights that are Python need the user's word: ways past what torch.export's loader checks."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib

import hostile_pickles
import numpy as np
import pytest
import torch
import weightsfiles
from memory_archive import archive
from unpacked import initialized, unpack

from mar_core import BaseHandler, ModelError, Severity, validate
from mar_core.checks.rules import mar_validate_archive as check
from mar_core.checks.trust import TRUST_CODES
from mar_core.weights import examine


def renamed(data: bytes, old: str, new: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            copy.writestr(zipfile.ZipInfo(name.replace(old, new)), source.read(name))
    return target.getvalue()


def with_text(data: bytes, old: str, new: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        name = next(entry for entry in source.namelist() if "/models/" in entry)
        text = source.read(name).decode()
    assert old in text
    return weightsfiles.with_record(
        data, name.partition("/")[2], text.replace(old, new, 1).encode()
    )


def attacks(mark: str) -> dict[str, bytes]:
    """Six ways to code by ``torch.export.load``."""
    sound = weightsfiles.exported()
    payload = hostile_pickles.inside_torch_zip(hostile_pickles.shapes(mark)["protocol 2"])
    hostile = weightsfiles.with_record(sound, "data/sample_inputs/model.pt", payload)
    runs = json.dumps(f"__import__('os').mkdir({mark!r})")[1:-1]
    config = "data/weights/model_weights_config.json"
    with zipfile.ZipFile(io.BytesIO(sound)) as source:
        entry = next(name for name in source.namelist() if name.endswith(config))
        weights = json.loads(source.read(entry))
    for tensor in weights["config"].values():
        tensor["use_pickle"], tensor["path_name"] = True, "/data/sample_inputs/model.pt"
    old = io.BytesIO()
    with zipfile.ZipFile(old, "w") as layout:
        layout.writestr("version", "8.8")
        layout.writestr("serialized_exported_program.json", "{}")
        layout.writestr("serialized_state_dict.json", payload)
        layout.writestr("serialized_constants.json", payload)
    return {
        "an ending in upper case": renamed(hostile, "model.pt", "MODEL.PT"),
        "an absolute path": weightsfiles.with_record(sound, config, json.dumps(weights).encode()),
        "an expression": with_text(sound, '"as_int": 0}', f'"as_expr": {{"expr_str": "{runs}"}}}}'),
        "a guard": with_text(sound, '"guards_code": []', f'"guards_code": ["{runs}"]'),
        "the layout before 2.8": old.getvalue(),
        "a name with a slash": renamed(hostile, "models/model.json", "models/a/b.json"),
    }


NAMES = list(attacks("mark"))


@pytest.mark.parametrize("name", NAMES)
def test_a_way_past_the_loader_needs_the_users_word(tmp_path, name):
    mark = tmp_path / "mark"
    data = attacks(str(mark))[name]
    told = {"handler": "base_handler", "serializedFile": "w.pt2"}
    errors = [f for f in validate(archive({"w.pt2": data}, **told)) if f.code == "MAR-W011"]
    assert [f.severity for f in errors] == [Severity.ERROR]
    extra = validate(archive({"extra.bin": data}))
    assert any(f.code in TRUST_CODES and f.member == "extra.bin" for f in extra)
    context = unpack(tmp_path / "m", {"w.pt2": data}, serializedFile="w.pt2")
    with pytest.raises(ModelError, match="Pass --trust"):
        initialized(BaseHandler(), context)
    assert not mark.exists()


def test_such_a_way_leads_to_code(tmp_path):
    mark = tmp_path / "mark"
    data = attacks(str(mark))["an ending in upper case"]
    assert hostile_pickles.fires(data, mark, torch.export.load)


HOSTILE = hostile_pickles.pickled(hostile_pickles.load("os", "system", "true"))


def packed(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for name, content in files.items():
            target.writestr(name.replace("__", "/").replace("_", "."), content)
    return stream.getvalue()


def in_numpy(kind: str) -> bytes:
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': (1,)}}".encode().ljust(117)
    return (
        b"\x93NUMPY\x01\x00" + len(header + b"\n").to_bytes(2, "little") + header + b"\n" + HOSTILE
    )


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def in_tar_of_old() -> bytes:
    """A tar without the mark, which only its checksum tells."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as target:
        info = tarfile.TarInfo("x")
        info.size = len(HOSTILE)
        target.addfile(info, io.BytesIO(HOSTILE))
    data = bytearray(stream.getvalue())
    data[257:265], data[148:156] = bytes(8), b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def in_tar(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as target:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def deflated(window: int) -> bytes:
    machine = zlib.compressobj(9, zlib.DEFLATED, window)
    return machine.compress(HOSTILE) + machine.flush()


def old_joblib() -> bytes:
    packed = zlib.compress(HOSTILE)
    return b"ZF" + hex(len(HOSTILE)).ljust(19).encode() + packed


def in_sized_lzma() -> bytes:
    packed = lzma.compress(HOSTILE, lzma.FORMAT_ALONE)
    return packed[:5] + len(HOSTILE).to_bytes(8, "little") + packed[13:]


LZMA = [{"id": lzma.FILTER_LZMA1, "dict_size": 4096, "lc": 0}]
RECORDS = np.zeros(2, dtype=[("a", "i4"), ("b", "f8", (2,)), ("c", "U3"), ("d", "M8[ns]")])


def apart(between: bytes, behind: bytes) -> bytes:
    """Text, and a program that torch loads all the same."""
    stream = io.BytesIO()
    stream.write(b"hello\n" * 20)
    data = attacks("mark")["an ending in upper case"]
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(stream, "a") as target:
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name), source.read(name))
    raw = stream.getvalue()
    at = raw.rindex(b"PK\x05\x06")
    found = raw[:at] + between + raw[at:] + behind
    assert torch._C.PyTorchFileReader(io.BytesIO(found)).has_record("models/model.json")
    return found


HIDDEN = {
    "text, then a program": apart(b"", b""),
    "a directory apart from its end": apart(bytes(30), b""),
    "an end behind the end": apart(b"", b"PK\x05\x06"),
    "the mark of a library": b"MZ\x000" + HOSTILE[2:],
    "a library, then a zip": b"\x7fELF" + packed(x=HOSTILE),
    "a picture, then a zip": b"\x89PNG\r\n\x1a\n" + bytes(100) + packed(x=HOSTILE),
    "records, then a pickle": saved(RECORDS) + HOSTILE,
    "an old tar": in_tar_of_old(),
    "bzip2": bz2.compress(HOSTILE),
    "bzip2 twice": bz2.compress(pickle.dumps(1)) + bz2.compress(HOSTILE),
    "xz": lzma.compress(HOSTILE),
    "lzma": lzma.compress(HOSTILE, lzma.FORMAT_ALONE),
    "lzma of a known size": in_sized_lzma(),
    "joblib before 0.10": old_joblib(),
    "LZ4": b"\x04\x22\x4d\x18" + HOSTILE,
    "Zstandard": b"\x28\xb5\x2f\xfd" + HOSTILE,
    "cut bzip2": bz2.compress(HOSTILE)[:-9],
    "cut xz": lzma.compress(HOSTILE)[:-20],
    "a small window": deflated(9),
    "a middling window": deflated(12),
    "lzma of its own sizes": lzma.compress(HOSTILE, lzma.FORMAT_ALONE, filters=LZMA),
    "lzma of much memory": b"\x5d\0\0\0\x80" + lzma.compress(HOSTILE, lzma.FORMAT_ALONE)[5:],
    "gzip, zeros, gzip": gzip.compress(pickle.dumps(1)) + bytes(9) + gzip.compress(HOSTILE),
    "gzip with a wrong sum": gzip.compress(HOSTILE)[:-8] + bytes(8),
    "gzip, then a zip": gzip.compress(b"x") + packed(x=HOSTILE),
    "a tar, then a zip": in_tar(x=b"x") + packed(x=HOSTILE),
    "a tar, then a large zip": in_tar(x=b"x") + weightsfiles.whole_module(),
    "a pickle, then a zip": pickle.dumps(1) + packed(x=HOSTILE),
    "a pickle, garbage, a zip": pickle.dumps(1) + b"\xff" + packed(x=HOSTILE),
    "a pickle, then an array": pickle.dumps(1) + in_numpy("|O"),
    "a damaged second pickle": pickle.dumps(1) + HOSTILE[:-1] + b"0\xff",
    "a tar of old torch": in_tar(storages=HOSTILE),
    "a tar": in_tar(a=b"x", b=HOSTILE),
    "a cut tar": in_tar(a=b"x", b=bytes(5000))[:4000],
    "a second pickle": pickle.dumps({"a": 1}) + HOSTILE,
    "a third pickle": pickle.dumps(1) + pickle.dumps(2, 0) + HOSTILE,
    "an unknown first opcode": b"(" + HOSTILE[2:-1] + b"t.",
    "a long first string": b"S'" + b"x" * 200_000 + b"'\n0" + HOSTILE[2:],
    "a long number": b"F" + b"0" * 200_000 + b"\n0" + HOSTILE[2:],
    "then garbage": HOSTILE[:-1] + b"0\xff\xff",
    "the type object": in_numpy("object"),
    "the type O8": in_numpy("|O8"),
    "an array, then a pickle": in_numpy("|u1").replace(HOSTILE, b"x" + HOSTILE),
    "a member more": packed(a_npy=in_numpy("|u1"), b_pkl=HOSTILE),
    "DATA.PKL": packed(x__DATA_PKL=HOSTILE, x__version=b"3\n"),
    "a record beside": packed(
        x__data_pkl=HOSTILE, x__version=b"3\n", **{"x__archive_format".replace("_f", "_f"): b"pt2"}
    ),
}


@pytest.mark.parametrize("ending", ["txt", "so", "py", "model"])
@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_pickle_is_found_whatever_it_is_called(name, ending):
    found = list(check(archive({f"x.{ending}": HIDDEN[name]})))
    errors = [f for f in found if f.member == f"x.{ending}" and f.severity is Severity.ERROR]
    assert {f.code for f in errors} <= TRUST_CODES
    assert errors
    softened = validate(archive({f"x.{ending}": HIDDEN[name]}), allow_pickle=True)
    assert not [f for f in softened if f.severity is Severity.ERROR and f.code in TRUST_CODES]


HARMLESS = [
    b"cat\ndog\nbird\n", b"import os\nimport sys\n", b"class A:\n    x = 1\n", b"I am here\n",
    b"Paris\nLondon\n", b"{}", b"[1, 2]", b"key: value\n", b"S is a letter\n", b"N.B. this\n",
    b"(C) 2026 Somebody\n\nThis software is provided 'as-is', without any\nwarranty.\n",
    b"x^2 + y^2 = z^2\n", b"XH\n", b"MZ", b"cat\ndog\n.", b"\x80\x63" + bytes(range(200)),
    b"".join(pickle.dumps(number, number % 6) for number in range(9)),
    pickle.dumps(1) + b"then text\n", pickle.dumps({"model": packed(a=b"1")}),
    in_tar(a=b"x", b=packed(a=b"1")), in_tar(a=pickle.dumps([1]), b=weightsfiles.state_dict()),
    b"\xff\xd8\xff\xe0" + b"PK\x05\x06" * 999, b"PK\x05\x06".ljust(22, b"\0"),
    gzip.compress(packed(a=b"1"), 0), bytes(512), bz2.compress(b"x"), lzma.compress(b"x"),
    lzma.compress(pickle.dumps(1), lzma.FORMAT_ALONE), zlib.compress(b"x") + b"x", b"x", b"\x08",
    b"]\0\0\x80\0 is no lzma", b"BZh is a word\n",
    b"\xff\xd8\xff\xe0" + bytes(100), b"\x89PNG\r\n\x1a\n" + bytes(50), b"", bytes(100),
    pickle.dumps({0: "cat", "x": [1.5, None, (True, b"y")]}),
]  # fmt: skip


@pytest.mark.parametrize("data", HARMLESS, ids=range(len(HARMLESS)))
def test_what_harms_nobody_passes(data):
    for name in ("labels.txt", "labels.pkl", "x"):
        assert not [f for f in check(archive({name: data})) if f.member == name]


@pytest.mark.parametrize("name", ["../x", "data/../x", "a/./b", "a//b", "a\\b"])
def test_a_record_that_leads_out_of_a_torch_zip(name):
    data = weightsfiles.with_record(weightsfiles.state_dict(), name, b"x")
    assert "MAR-W008" in [fault.code for fault in examine(io.BytesIO(data)).faults]
