"""Files of ``torch.save``, both kinds: each fault in its own words, and where the numbers lie."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest
import torch
import weightsfiles

from mar_core.weights import Allowance, examine

STATE = {"a": torch.arange(4.0), "b": torch.arange(3)}
ZIP = weightsfiles.saved(STATE)


def repacked(data: bytes, method: int, *, prefix: str = "archive/") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            record = zipfile.ZipInfo(prefix + name.partition("/")[2])
            target.writestr(record, source.read(name), method)
    return stream.getvalue()


def starts(data: bytes) -> list[int | None]:
    report = examine(io.BytesIO(data))
    assert not report.faults
    assert [tensor.name for tensor in report.tensors] == ["a", "b"]
    return [tensor.start for tensor in report.tensors]


@pytest.mark.parametrize("data", [ZIP, repacked(ZIP, zipfile.ZIP_STORED)], ids=["torch", "zipfile"])
def test_where_the_numbers_lie(data):
    first, second = starts(data)
    assert data[first : first + 16] == STATE["a"].numpy().tobytes()
    assert data[second : second + 24] == STATE["b"].numpy().tobytes()


@pytest.mark.parametrize("order", [b"big", b"", b"little".ljust(17)], ids=["big", "none", "long"])
def test_numbers_of_another_order_lie_nowhere(order):
    assert starts(weightsfiles.with_record(ZIP, "byteorder", order)) == [None, None]
    assert None not in starts(weightsfiles.with_record(ZIP, "byteorder", b"little"))
    assert None not in starts(weightsfiles.with_record(ZIP, "byteorder", None))


def test_deflated_numbers_lie_nowhere():
    assert starts(repacked(ZIP, zipfile.ZIP_DEFLATED)) == [None, None]


def test_a_zip_in_a_folder_called_like_a_drive():
    data = repacked(ZIP, zipfile.ZIP_STORED, prefix="C:/")
    assert [fault.code for fault in examine(io.BytesIO(data)).faults] == ["MAR-W008"]
    assert not examine(io.BytesIO(repacked(ZIP, zipfile.ZIP_STORED, prefix="C/"))).faults


def hiding(data: bytes) -> bytes:
    """The zip with a record more that its directory does not name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name), source.read(name))
        hidden = target.filelist[-1].filename.replace("/", "/x")
        target.writestr(zipfile.ZipInfo(hidden), b"x")
        target.NameToInfo.pop(target.filelist.pop().filename)
    assert zipfile.ZipFile(stream).namelist() == zipfile.ZipFile(io.BytesIO(data)).namelist()
    return stream.getvalue()


def plain() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        target.writestr("a/b.txt", b"x")
    return stream.getvalue()


ZIPS = {"torch": ZIP, "TorchScript": weightsfiles.torchscript(), "any": plain()}


@pytest.mark.parametrize("data", ZIPS.values(), ids=ZIPS)
def test_a_record_that_no_directory_names(data):
    assert not examine(io.BytesIO(data)).faults
    assert "MAR-W008" in [fault.code for fault in examine(io.BytesIO(hiding(data))).faults]


# --- before 1.6: five pickles and the numbers ----------------------------------------------------


def split() -> tuple[list[bytes], bytes]:
    """The pickles of a file of the old format, and what stands behind them."""
    stream = io.BytesIO(weightsfiles.saved(STATE, _use_new_zipfile_serialization=False))

    class Loads(pickle.Unpickler):
        def persistent_load(self, _):
            return torch.zeros(1)

        def find_class(self, module, name):
            return dict if name == "OrderedDict" else lambda *_: None

    found, begin = [], 0
    for _ in range(5):
        Loads(stream).load()
        found.append(stream.getvalue()[begin : stream.tell()])
        begin = stream.tell()
    return found, stream.getvalue()[begin:]


PICKLES, NUMBERS = split()
KEYS = pickle.loads(PICKLES[4])
HEAD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def legacy(numbers: bytes = NUMBERS, **pickles: bytes) -> bytes:
    order = ("magic", "protocol", "system", "root", "keys")
    return b"".join(pickles.get(n, old) for n, old in zip(order, PICKLES, strict=True)) + numbers


def test_the_pieces_make_a_sound_file():
    assert PICKLES[0] == HEAD
    assert set(torch.load(io.BytesIO(legacy()), weights_only=True)) == {"a", "b"}
    first, second = starts(legacy())
    assert legacy()[first : first + 16] == STATE["a"].numpy().tobytes()
    assert legacy()[second : second + 24] == STATE["b"].numpy().tobytes()


WRONG = {
    "another protocol": ({"protocol": b"\x80\x02M\xe8\x03."}, "does not begin as torch writes it"),
    "no list of keys": ({"keys": b"\x80\x02}."}, "does not begin as torch writes it"),
    "keys that are numbers": ({"keys": pickle.dumps([1, 2], 2)}, "have no proper names"),
    "a key too few": ({"keys": pickle.dumps(KEYS[:1], 2)}, "not those that it needs"),
    "a key too many": ({"keys": pickle.dumps([*KEYS, "x"], 2)}, "not those that it needs"),
    "another key": ({"keys": pickle.dumps([KEYS[0], "x"], 2)}, "not those that it needs"),
    "a key twice": ({"keys": pickle.dumps([KEYS[0]] * 2, 2)}, "not those that it needs"),
    "more numbers": ({"numbers": b"\5" + NUMBERS[1:]}, "has 5 elements, not "),
    "cut in the numbers": ({"numbers": NUMBERS[:-1]}, "cut off inside the storage"),
    "more behind": ({"numbers": NUMBERS + b"xy"}, "2 bytes follow its end"),
    "cut in the third pickle": ({"system": b"\x80\x02]", "root": b"", "keys": b"", "numbers": b""},
                                "pickle 3 of 5: it is cut off"),
}  # fmt: skip


@pytest.mark.parametrize(("pieces", "words"), WRONG.values(), ids=WRONG)
def test_a_fault_of_the_old_format_is_told_in_its_own_words(pieces, words):
    report = examine(io.BytesIO(legacy(**pieces)))
    assert report.format.name == "torch-legacy"
    faults = [fault for fault in report.faults if words in fault.message]
    assert [fault.code for fault in faults] == ["MAR-W006"]
    assert not report.listed


def test_a_pickle_of_the_old_format_that_is_long_or_calls_something():
    calls = legacy(system=b"\x80\x02cos\nsystem\n(X\x01\0\0\0xtR.")
    assert "MAR-W003" in [fault.code for fault in examine(io.BytesIO(calls)).faults]
    refused = legacy(system=b"\x80\x02I1\n.")
    assert "MAR-W004" in [fault.code for fault in examine(io.BytesIO(refused)).faults]
    long = legacy(system=b"\x80\x02(" + b"N" * 2000 + b"t.")
    assert not examine(io.BytesIO(long)).faults
    faults = examine(io.BytesIO(long), budget=Allowance(1 << 18)).faults
    assert "MAR-W005" in [fault.code for fault in faults]
