"""Two archives beside one another: their tensors, shared ones too, at the price of their files."""

from __future__ import annotations

import pytest
import torch
import weightsfiles
from memory_archive import MODEL, files, write_zip

from mar_core.reports.difference import compare_archives


@pytest.fixture
def compared(tmp_path):
    def compare(*states):
        paths = [
            write_zip(
                tmp_path / f"{number}.mar",
                files({"w.pt": weightsfiles.saved(state), "model.py": MODEL},
                      serializedFile="w.pt", modelFile="model.py"),
            )
            for number, state in enumerate(states)
        ]  # fmt: skip
        return compare_archives(*paths)

    return compare


def test_a_tensor_of_many_names_is_compared_under_each(compared):
    first, second = torch.zeros(1000), torch.zeros(1000)
    second[7] = 0.5
    found = compared(
        {f"layer{number}": first for number in range(50)} | {"other": torch.ones(3)},
        {f"layer{number}": second for number in range(50)} | {"other": torch.ones(3)},
    )
    assert [(one.name, one.largest) for one in found.tensors] == [
        (f"layer{number}", 0.5) for number in range(50)
    ]
    assert found.same_tensors == 1
    assert found.note is None


def test_views_of_one_storage_are_compared(compared):
    first, second = torch.zeros(100), torch.zeros(100)
    second[60] = 2.0
    found = compared(*({"all": t, "a": t[:50], "b": t[50:], "rows": t.view(10, 10)}
                       for t in (first, second)))  # fmt: skip
    assert {one.name: one.largest for one in found.tensors} == {"all": 2.0, "b": 2.0, "rows": 2.0}
    assert found.same_tensors == 1


def test_endless_views_of_one_storage_are_not_compared(compared):
    """Thousands of views of 96 MB would take hours, in an archive of 160 kB."""
    large = torch.zeros(2_000_000)
    state = {f"t{number}": large[number : number + 1_900_000] for number in range(2000)}
    found = compared(state, {**state, "more": torch.ones(1)})
    assert found.tensors == []
    assert found.same_tensors is None
    assert "share their numbers" in found.note
