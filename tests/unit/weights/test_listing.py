"""From what a pickle describes to the list of tensors: their names, and what is no tensor."""

from __future__ import annotations

import collections
import io

import pytest
import torch
import weightsfiles

from mar_core.weights import examine
from mar_core.weights.listing import list_tensors, note_pickle
from mar_core.weights.machine import Global, Made, PickleReport, Storage
from mar_core.weights.registry import weights_formats
from mar_core.weights.weights_format import WeightsReport

STORAGE = Storage("0", "float32", 12, "cpu")
V2, V3 = Global("torch._utils._rebuild_tensor_v2"), Global("torch._utils._rebuild_tensor_v3")
ROOM = (STORAGE, 0, (3,), (1,))


def listed(value, *, fault=None, unchecked=False):
    report = WeightsReport(format=weights_formats()[-1])
    list_tensors(PickleReport(value=value, fault=fault, unchecked=unchecked), {"0": 64}, report)
    return report


def names(value):
    report = examine(io.BytesIO(weightsfiles.saved(value)))
    assert report.listed
    return [tensor.name for tensor in report.tensors]


T = torch.zeros(2)
NAMED = {
    "a state dict": ({"a": T, "b.c": torch.ones(1)}, ["a", "b.c"]),
    "a tensor alone": (T, [""]),
    "a parameter alone": (torch.nn.Parameter(torch.zeros(2)), [""]),
    "deeper": ({"model": {"a": T, "b": [T, torch.ones(1)]}}, ["model.a", "model.b.0", "model.b.1"]),
    "one in a list": ({"a": [T], "b": (T,)}, ["a", "b"]),
    "other keys": ({1: T, 2.5: T, b"x": T, (1, 2): T}, ["1", "2.5", "b'x'", "(…)"]),
    "a long key": ({"k" * 300: T}, ["k" * 200]),
    "a module's own dictionaries": ({"_parameters": {"w": T}, "_modules": {"n": {"_buffers": {
        "b": T}}}}, ["w", "n.b"]),
    "two names of one": (collections.OrderedDict(a=T, b=T), ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), NAMED.values(), ids=NAMED)
def test_tensors_are_named_by_their_place(value, expected):
    assert names(value) == expected


def test_a_map_that_two_places_share_is_followed_once():
    shared = {"w": T}
    assert names({"a": shared, "b": shared}) == ["a.w"]
    deep = {"w": T}
    for _ in range(30):
        deep = {"n" * 60: deep}
    (name,) = names(deep)
    assert len(name) == 1000


def test_attributes_of_a_map_are_looked_at_but_for_its_versions():
    state = torch.nn.Linear(1, 1).state_dict()
    state.extra, state._metadata = T, {"": {"version": T}}
    assert names(state) == ["weight", "bias", "extra"]


def test_what_is_wrapped_is_the_tensor_inside():
    tensor = Made(V2, (*ROOM, False, None))
    parameter = Made(Global("torch._utils._rebuild_parameter"), (tensor, True, None))
    subclass = Made(
        Global("torch._tensor._rebuild_from_type_v2"),
        (V2, Global("torch.Tensor"), (*ROOM, False, None), {}),
    )
    for value in (tensor, parameter, subclass, Made(parameter.maker, (subclass, True, None))):
        (info,) = listed({"a": value}).tensors
        assert (info.name, info.shape, info.dtype, info.start) == ("a", (3,), "float32", 64)
        assert (info.storage, info.storage_bytes) == ("0", 48)
    other = Made(V3, (*ROOM, False, None, Global("torch.int32")))
    assert [info.dtype for info in listed([other]).tensors] == ["int32"]
    older = Made(V2, (*ROOM, False, None, Global("torch.int32")))
    assert [info.dtype for info in listed([older]).tensors] == ["float32"]
    assert [info.dtype for info in listed([Made(V3, ROOM)]).tensors] == ["float32"]
    nothing = [Made(parameter.maker, ()), Made(subclass.maker, (V2, 1)), Made(subclass.maker, "xy")]
    assert listed(nothing).tensors == []


ODD = {
    "three": (STORAGE, 0, (3,)),
    "a list": [STORAGE, 0, (3,), (1,)],
    "no storage": ("0", 0, (3,), (1,)),
    "an offset that is none": (STORAGE, -1, (3,), (1,)),
    "a shape that is none": (STORAGE, 0, (-3,), (1,)),
    "a shape of true": (STORAGE, 0, (True,), (1,)),
    "strides that are none": (STORAGE, 0, (3,), ("1",)),
    "strides of another length": (STORAGE, 0, (3,), (1, 1)),
}


@pytest.mark.parametrize("args", ODD.values(), ids=ODD)
def test_a_tensor_that_torch_never_writes(args):
    report = listed({"a": Made(V2, ROOM), "b": Made(V2, args)})
    assert [(fault.code, "'b'" in fault.message) for fault in report.faults] == [("MAR-W007", True)]
    assert not report.listed


def test_a_list_is_whole_where_the_pickle_was_read_to_its_end():
    assert listed([]).listed
    assert not listed([], fault="it is cut off").listed
    assert not listed([], unchecked=True).listed
    far = listed({"a": Made(V2, (STORAGE, 10, (3,), (1,)))})
    assert [fault.code for fault in far.faults] == ["MAR-W007"]
    assert "reaches beyond its storage" in far.faults[0].message
    assert far.listed


def test_a_value_that_holds_itself_ends():
    loop = []
    loop.append(loop)
    assert listed(loop).tensors == []


FORBIDDEN, REFUSED, LONG, CUT = (
    {"forbidden": ["os.system"]}, {"refused": ["the opcode POP"]}, {"unchecked": True},
    {"fault": "it is cut off"},
)  # fmt: skip
WALKS = [
    ({}, [], []),
    (FORBIDDEN, ["MAR-W003"], ["MAR-W003"]),
    (REFUSED, [], ["MAR-W004"]),
    (LONG, ["MAR-W005"], ["MAR-W005"]),
    (CUT, ["MAR-W006"], ["MAR-W006"]),
    # What was found before the fault would have run; torch's reader would stop at the fault, too.
    (FORBIDDEN | CUT, ["MAR-W003"], ["MAR-W003", "MAR-W006"]),
    (FORBIDDEN | LONG, ["MAR-W003"], ["MAR-W003"]),
    (REFUSED | CUT, ["MAR-W006"], ["MAR-W004", "MAR-W006"]),
]


@pytest.mark.parametrize(("walk", "loose", "strict"), WALKS)
def test_what_is_told_of_a_pickle(walk, loose, strict):
    for strictly, expected in ((False, loose), (True, strict)):
        report = WeightsReport(format=weights_formats()[-1])
        note_pickle(report, PickleReport(**walk), "its pickle", strict=strictly)
        assert [fault.code for fault in report.faults] == expected
        assert report.pickled_code == walk.get("forbidden", [])
        assert all("its pickle" in fault.message.lower() for fault in report.faults)
