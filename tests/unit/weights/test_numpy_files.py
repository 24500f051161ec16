"""NumPy's files: what holds numbers passes, and whatever else NumPy would read is named."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile

import hostile_pickles
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_archive import archive

from mar_core import Severity
from mar_core.checks.rules import mar_validate_archive as check
from mar_core.checks.trust import TRUST_CODES
from mar_core.weights import Allowance, examine

HOSTILE = hostile_pickles.pickled(hostile_pickles.load("os", "system", "true"))
KINDS = [
    "<f8", ">i2", "|b1", "<c16", "|S3", "|S0", "<U5", "|V7", "<M8[ns]", "<m8", "<M8[25us]",
    [("a", "<i4"), ("b", "<f8", (2, 3)), (("title", "c"), "<U2")],
    [("inner", [("x", "|u1"), ("y", "<f4", (3,))]), ("", "|V4")],
]  # fmt: skip


def array(kind: object, shape: object = (2,), body: bytes = b"", *, version: int = 1) -> bytes:
    """A file with any header, and what stands behind that."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}}}"
    return headed(header.encode(), body, version=version)


def headed(header: bytes, body: bytes, *, version: int = 1) -> bytes:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + body


def told(data: bytes) -> list[str]:
    return [fault.code for fault in examine(io.BytesIO(data)).faults]


def refused(data: bytes) -> bool:
    """Whether it needs the user's word as some file of an archive."""
    found = [f for f in check(archive({"x.npy": data})) if f.severity is Severity.ERROR]
    assert {f.code for f in found} <= TRUST_CODES
    return bool(found)


def saved(dtype: object, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of titles and names outside Latin-1
        np.save(stream, np.zeros(shape, dtype=np.dtype(dtype)))
    return stream.getvalue()


shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(st.sampled_from(KINDS), shapes, st.sampled_from(KINDS), shapes)
def test_where_an_array_ends(kind, shape, other, behind):
    first, second = saved(kind, shape), saved(other, behind)
    assert told(first) == []
    assert told(first + second) == []
    assert told(first + second + HOSTILE) == ["MAR-W003"]
    assert told(first + HOSTILE) == ["MAR-W003"]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_each_version_of_the_format(version):
    data = array("<f8", (2,), bytes(16), version=version)
    assert np.load(io.BytesIO(data)).tolist() == [0.0, 0.0]
    assert told(data) == []
    assert told(data + HOSTILE) == ["MAR-W003"]
    assert told(array("|O", (1,), HOSTILE, version=version)) == ["MAR-W016"]


def nested(kind: object, depth: int) -> object:
    return [("a", nested(kind, depth - 1))] if depth else kind


def paired(depth: int) -> object:
    return (paired(depth - 1), 1) if depth else "<f8"


OBJECTS = {
    "O": "O", "object": "object", "a width": "|O8", "a field": [("a", "<f8"), ("b", "|O")],
    "a subarray": [("a", "|O", (2,))], "of a pair": ("|O", (2,)), "deep": nested("|O", 3),
    "in a subarray of records": [("a", ([("b", "O")], (2,)))],
    "a dictionary": {"names": ["a"], "formats": ["O"]},
}  # fmt: skip


@pytest.mark.parametrize("kind", OBJECTS.values(), ids=OBJECTS)
def test_objects_are_pickles(kind):
    assert told(array(kind, (1,), HOSTILE)) == ["MAR-W016"]
    assert refused(array(kind, (1,), HOSTILE))


STRANGE = {
    "a letter alone": array("d", (1,), bytes(8) + HOSTILE),
    "endless digits": array("S" + "9" * 5000),
    "very deep": array(nested("<f8", 9)),
    "deep pairs": array(paired(9)),
    "three in a pair": array(("<f8", (1,), 2)),
    "one in a field": array([("<f8",)]),
    "four in a field": array([("a", "<f8", (1,), 1)]),
    "a list in a field": array([["a", "<f8"]]),
    "a list of three in a field": array([["a", "<f8", (1,)]]),
    "a number": array(8),
    "a shape in a field that is none": array([("a", "<f8", (-1,))]),
    "a shape of a type that is none": array(("<f8", (-1,))),
    "a shape below 0": array("<f8", (-1,), bytes(8) + HOSTILE),
    "a shape of floats": array("<f8", (1.5,), bytes(8) + HOSTILE),
    "a shape of true": array("<f8", (True,), bytes(8) + HOSTILE),
    "a huge axis beside none": array("<f8", (0, 1 << 48), HOSTILE),
    "too many axes": array("<f8", (1,) * 65, bytes(8) + HOSTILE),
    "a long header": headed(b"{'descr':'|O','fortran_order':False,'shape':(1,)}".ljust(10_001),
                            HOSTILE),
    "integers of Python 2": headed(b"{'descr':'|O','fortran_order':False,'shape':(1L,)}", HOSTILE),
    "no header": headed(b"__import__('os')", HOSTILE),
    "no type": headed(b"{'fortran_order':False,'shape':(1,)}", HOSTILE),
    "nested without end": headed(b"(" * 5000, HOSTILE),
    "a header that is longer than the file": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f",
    "the mark alone": b"\x93NUMPY",
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_what_numpy_never_writes_needs_the_users_word(name):
    assert refused(STRANGE[name])


def test_what_is_just_possible_passes():
    assert told(array(nested("<f8", 8), (1,), bytes(8))) == []
    assert told(array("<f8", (1,) * 64, bytes(8))) == []
    assert told(array("<f8", (0, (1 << 48) - 1))) == []
    assert told(headed(b"{'descr':'<f8','fortran_order':False,'shape':(1L,)}", bytes(8))) == []
    longest = b"{'descr':'<f8','fortran_order':False,'shape':(1,)}".ljust(10_000)
    assert told(headed(longest, bytes(8))) == []
    assert told(headed(longest, bytes(8) + HOSTILE)) == ["MAR-W003"]
    assert told(headed(longest + b" ", bytes(8))) == ["MAR-W005"]  # NumPy does not read it either


def packed(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for name, content in files.items():
            target.writestr(f"{name}.npy", content)
    return stream.getvalue()


def test_the_arrays_of_a_zip():
    sound = saved("<f8", (3,))
    assert told(packed(a=sound, b=sound)) == []
    assert told(packed(a=sound, b=array("|O", (1,), HOSTILE))) == ["MAR-W016"]
    assert told(packed(a=sound, b=HOSTILE)) == ["MAR-W003"]
    assert told(packed(a=sound, b=pickle.dumps([1]))) == []
    report = examine(io.BytesIO(packed(a=sound, b=HOSTILE)))
    assert report.format.name == "numpy"
    assert "its b.npy" in report.faults[0].message


def test_a_zip_of_arrays_that_is_not_exact():
    data = packed(a=saved("<f8", (3,)))
    other = data.replace(b"a.npy", b"b.npy", 1)  # another name in the record than in the directory
    assert told(other) == ["MAR-W008"]
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as target:
        target.writestr("a.npy", saved("<f8", (1,)))
        with pytest.warns(UserWarning, match="Duplicate"):
            target.writestr("a.npy", saved("<f8", (1,)))
    assert told(twice.getvalue()) == ["MAR-W008"]


def test_a_zip_of_arrays_and_more_is_a_zip():
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as target:
            target.writestr("a.NPY", saved("<f8", (1,)))
        assert examine(io.BytesIO(stream.getvalue())).format.name == "numpy"
        with zipfile.ZipFile(stream, "a") as target:
            target.writestr("b.txt", b"x")
        assert examine(io.BytesIO(stream.getvalue())).format.name == "zip"


def test_many_arrays_in_a_zip_cost_what_they_are():
    many = packed(**{f"a{number}": array("<f8", (0,)).ljust(60_000) for number in range(20)})
    assert examine(io.BytesIO(many), budget=Allowance(1 << 20)).faults
    assert told(many) == []
