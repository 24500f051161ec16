"""Which format a file is of, whoever is asked, and what is told of files in files."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile

import hostile_pickles
import pytest
import weightsfiles

from mar_core.plugins import PluginWarning
from mar_core.weights import Allowance, Trust, WeightsFormat, examine, identify, weights_formats

HOSTILE = hostile_pickles.pickled(hostile_pickles.load("os", "system", "true"))


def told(data: bytes, **options) -> list[str]:
    return [fault.code for fault in examine(io.BytesIO(data), **options).faults]


def wrapped(data: bytes, times: int) -> bytes:
    for _ in range(times):
        data = gzip.compress(data)
    return data


def packed(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return stream.getvalue()


def test_what_lies_deep_is_found_or_said_to_lie_too_deep():
    assert told(wrapped(pickle.dumps(1), 3)) == []
    assert told(wrapped(HOSTILE, 3)) == ["MAR-W003"]
    (fault,) = examine(io.BytesIO(wrapped(pickle.dumps(1), 4))).faults
    assert fault.code == "MAR-W005"
    assert "lies in more than 3 other files" in fault.message


def test_what_is_told_of_a_file_in_a_file():
    report = examine(io.BytesIO(packed(x=weightsfiles.whole_module())))
    assert [fault.code for fault in report.faults] == ["MAR-W003"]
    assert report.faults[0].message.startswith("In its x: ")
    assert "torch.nn.modules.linear.Linear" in report.pickled_code
    assert told(packed(x=weightsfiles.state_dict()[:-9])) == ["MAR-W005"]  # it cannot be checked
    assert told(packed(x=weightsfiles.safetensors_file()[:-9])) == []  # damaged, but no code


def test_a_budget_that_ends_ends_the_look():
    data = weightsfiles.state_dict()
    assert examine(io.BytesIO(data)).listed
    for size in (10, 9_000, 40_000):
        report = examine(io.BytesIO(data), budget=Allowance(size))
        assert [fault.code for fault in report.faults] == ["MAR-W005"]
        assert not report.listed
    assert report.format.name == "torch"
    assert examine(io.BytesIO(data), budget=Allowance(10)).format.name == "unknown"


def test_a_file_of_two_formats_that_is_too_long_as_a_pickle():
    library = b"MZ\x000" + b"N0" * 2000 + b"N."
    assert told(library) == ["MAR-W013"]
    assert told(library, budget=Allowance(1 << 18)) == ["MAR-W013", "MAR-W005"]


def test_a_zip_that_hides_behind_text_is_told_once():
    assert told(b"hello\n" + packed(x=b"1")) == ["MAR-W008"]


def raising(error: BaseException) -> tuple[WeightsFormat, ...]:
    def fail(_):
        raise error

    row = WeightsFormat(name="acme", title="acme's", trust=Trust.DATA, identify=fail, rank=0)
    return (row, *weights_formats())


def test_a_format_that_fails_to_know_a_file_is_passed_by_with_a_warning():
    with pytest.warns(
        PluginWarning, match="The weights format acme failed: ValueError: no"
    ) as seen:
        report = examine(io.BytesIO(weightsfiles.state_dict()), formats=raising(ValueError("no")))
    assert (report.format.name, report.faults) == ("torch", [])
    assert len(seen) == 1
    report = examine(io.BytesIO(weightsfiles.state_dict()), formats=raising(MemoryError()))
    assert [fault.code for fault in report.faults] == ["MAR-W005"]


def test_the_formats_are_asked_in_the_order_of_their_ranks():
    rows = weights_formats()
    assert [row.rank for row in rows] == sorted(row.rank for row in rows)
    assert rows[-1].name == "unknown"
    assert identify(io.BytesIO(b"\0\1\2")) is rows[-1]
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert {"torch", "torch-legacy", "safetensors", "torchscript", "numpy", "pickle"} <= set(names)
