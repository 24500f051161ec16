"""Calls in a pickle, one by one: with the arguments that torch.save writes, and nearly with them.

The first torch must load and the walk must take; the second the walk must refuse, as data.
"""

from __future__ import annotations

import collections
import io
import pickle
import pkgutil
import warnings

import pytest
import torch
import weightsfiles

from mar_core.weights import machine
from mar_core.weights.pickles import walk_pickle

BASE = weightsfiles.saved(
    {
        "0": torch.arange(12.0),
        "1": torch.zeros(4, dtype=torch.int64),
        "2": torch.zeros(6, dtype=torch.complex64),
        "3": torch.zeros(6, dtype=torch.float64),
        "4": torch.zeros(48, dtype=torch.uint8),
    }
)


class Made:
    """Pickled as a call of a function with arguments."""

    def __init__(self, name, *args):
        self.call = known(name), args

    def __reduce__(self):
        return self.call


class Storage:
    """Pickled as torch.save writes a storage."""

    def __init__(self, kind, key, numel):
        self.identity = "storage", kind, key, "cpu", numel


def known(name):
    return pkgutil.resolve_name(":".join(name.rsplit(".", 1)))


F, L = Storage(torch.FloatStorage, "0", 12), Storage(torch.LongStorage, "1", 4)
C, D = Storage(torch.ComplexFloatStorage, "2", 6), Storage(torch.DoubleStorage, "3", 6)
Q, U = Storage(torch.QInt8Storage, "4", 48), Storage(torch.storage.UntypedStorage, "4", 48)
B = Storage(torch.BoolStorage, "4", 48)
HOOKS, FULL = collections.OrderedDict(), collections.OrderedDict(hook=1)


def utils(name, *args):
    return Made(f"torch._utils._rebuild_{name}", *args)


def v2(base, shape=(3,), strides=(1,)):
    return utils("tensor_v2", base, 0, shape, strides, False, HOOKS)


def layout(name):
    return Made("torch.serialization._get_layout", name)


T, LONGS, DOUBLES = v2(F), v2(L), v2(D)
PARAMETER = utils("parameter", T, True, HOOKS)
CHANNELS = torch.per_channel_affine
TENSOR, KIND = torch._utils._rebuild_tensor_v2, torch.Tensor
INNER = (F, 0, (3,), (1,), False, HOOKS)
META = utils("meta_tensor_no_storage", torch.float32, (1,), (1,), False)
MOVED = utils("device_tensor_from_cpu_tensor", T, torch.float32, "cpu", False)
FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
COO = (v2(L, shape=(2, 2), strides=(2, 1)), v2(F, shape=(2,)), Made("torch.Size", (4, 4)), False)
CSR = (v2(L), v2(L, shape=(0,)), v2(F, shape=(0,)), (2, 2))

SOUND = {
    "tensor": [
        (F, 0, (3, 4), (4, 1)),
        (F, 0, (4, 3), (1, 4)),
        (F, 11, (), ()),
        (F, 12, (0, 3), (3, 1)),
        (F, 0, (2**63 - 1,), (0,)),
        (F, 11, (5, 5), (0, 0)),
        (F, 0, (1,) * 64, (1,) * 64),
    ],
    "tensor_v2": [
        (F, 11, (1,), (1,), True, HOOKS),
        (C, 0, (6,), (1,), True, HOOKS),
        (L, 0, (4,), (1,), False, HOOKS, None),
        (F, 0, (1,), (1,), False, None),
        (F, 0, (1,), (1,), False, HOOKS, {}),
        (C, 0, (6,), (1,), False, HOOKS, {"conj": True, "neg": True}),
    ],
    "tensor_v3": [
        (U, 0, (48,), (1,), False, HOOKS, torch.float8_e5m2),
        (U, 4, (44,), (1,), False, HOOKS, torch.uint8, {}),
        (U, 10, (2,), (1,), False, HOOKS, torch.float32),
    ],
    "qtensor": [
        (Q, 0, (3,), (1,), (torch.per_tensor_affine, 0.5, 1), False, HOOKS),
        (Q, 0, (3, 2), (2, 1), (CHANNELS, DOUBLES, LONGS, 0), False, HOOKS),
    ],
    "parameter": [
        (T, True, HOOKS),
        (T, False, HOOKS),
        (LONGS, False, HOOKS),
        (PARAMETER, True, HOOKS),
        (Made(FROM_TYPE, TENSOR, KIND, INNER, {}), True, HOOKS),
        (META, True, HOOKS),
        (MOVED, True, HOOKS),
    ],
    "parameter_with_state": [
        (T, True, HOOKS, None),
        (T, True, HOOKS, {"a": 1}),
        (T, True, HOOKS, ({"a": 1}, {"b": 2})),
    ],
    "sparse_tensor": [(layout("torch.sparse_coo"), COO), (layout("torch.sparse_csr"), CSR)],
    "meta_tensor_no_storage": [(torch.float32, (2, 3), (3, 1), True), (torch.int64, (), (), False)],
    "device_tensor_from_cpu_tensor": [(T, torch.float32, "cpu", True)],
    FROM_TYPE: [
        (TENSOR, KIND, INNER, {"a": 1}),
        (torch._utils._rebuild_parameter, torch.nn.Parameter, (T, True, HOOKS), {"a": 1}),
    ],
    "collections.OrderedDict": [(), ([("a", 1), ["b", 2]],)],
    "collections.Counter": [(), ({"a": 1},)],
    "builtins.set": [(), ([1, (2, "a")],), ([(0,) * 999, 2**64],)],
    "builtins.bytearray": [(), (b"ab",), ("a\xff", "latin-1")],
    "builtins.complex": [(1.0, 2.0)],
    "_codecs.encode": [("a\xff", "latin1")],
    "torch.Size": [((1, 0, 2),), ((),)],
    "torch.device": [
        ("cpu",),
        ("cuda:127",),
        ("cuda:0",),
        ("cuda:99",),
        ("cuda", 127),
        ("cuda", 0),
    ],
    "torch.serialization._get_layout": [("torch.strided",)],
}
NEARLY = {
    "tensor": [
        (F, 0, (3, 4)),
        (F, 0, (3, 4), (4, 1), False),
        (F, 1, (3, 4), (4, 1)),
        (F, -1, (3,), (1,)),
        (F, 0, (13,), (1,)),
        (F, 0, (2,), (12,)),
        (F, 12, (1,), (1,)),
        (F, 13, (0,), (1,)),
        (F, 0, (3,), ()),
        (F, 0, (3,), (1, 1)),
        (F, 0, [3], (1,)),
        (F, 0, (3,), [1]),
        (F, 0, (True,), (1,)),
        (F, 0, (3,), (-1,)),
        (F, 0.0, (3,), (1,)),
        (F, 0, (2**63,), (0,)),
        (F, 0, (0,), (2**63,)),
        (T, 0, (3,), (1,)),
        (F, 0, (1,) * 65, (1,) * 65),
        (U, 0, (49,), (1,)),
        (F, 0, (2**32, 2**32, 0), (0, 0, 0)),
    ],
    "tensor_v2": [
        (F, 0, (3,), (1,), False),
        (F, 0, (3,), (1,), 0, HOOKS),
        (F, 0, (3,), (1,), None, HOOKS),
        (L, 0, (3,), (1,), True, HOOKS),
        (B, 0, (3,), (1,), True, HOOKS),
        (F, 0, (3,), (1,), False, FULL),
        (F, 0, (3,), (1,), False, {}),
        (F, 0, (3,), (1,), False, False),
        (F, 0, (3,), (1,), False, HOOKS, {"conj": True}),
        (C, 0, (3,), (1,), False, HOOKS, {"conj": 1}),
        (C, 0, (3,), (1,), False, HOOKS, {"other": True}),
        (C, 0, (3,), (1,), False, HOOKS, []),
        (F, 0, (3,), (1,), False, HOOKS, 1),
        (F, 0, (3,), (1,), False, HOOKS, {}, {}),
        (F, 10, (3,), (1,), False, HOOKS),
        (F, 0, (3,), (1, 1), False, HOOKS),
    ],
    "tensor_v3": [
        (U, 0, (3,), (1,), False, HOOKS),
        (U, 0, (3,), (1,), False, HOOKS, "float32"),
        (U, 0, (3,), (1,), False, HOOKS, torch.Tensor),
        (U, 0, (13,), (1,), False, HOOKS, torch.float32),
        (U, 11, (2,), (1,), False, HOOKS, torch.float32),
        (U, 0, (3,), (1,), True, HOOKS, torch.float32),
        (U, 0, (3,), (1,), False, FULL, torch.uint8),
        (U, 0, (3,), (), False, HOOKS, torch.uint8),
        (U, 0, (3,), (1,), False, HOOKS, torch.uint8, {"conj": True}),
        (U, 0, (3,), (1,), False, HOOKS, torch.uint8, {}, {}),
    ],
    "qtensor": [
        (Q, 0, (3,), (1,), (torch.per_tensor_affine, 0.5, 1), False),
        (F, 0, (3,), (1,), (torch.per_tensor_affine, 0.5, 1), False, HOOKS),
        (Q, 0, (3,), (1,), (torch.per_tensor_affine, 0.5, 1), True, HOOKS),
        (Q, 0, (3,), (1,), (torch.per_tensor_affine, 0.5, 1), False, FULL),
        (Q, 0, (3,), (1,), [torch.per_tensor_affine, 0.5, 1], False, HOOKS),
        (Q, 0, (3,), (1,), (), False, HOOKS),
        (Q, 0, (3,), (1,), ("x", 0.5, 1), False, HOOKS),
        (Q, 0, (3,), (1,), (torch.per_tensor_affine, 0.5), False, HOOKS),
        (Q, 0, (3,), (1,), (torch.per_tensor_affine, 1, 1), False, HOOKS),
        (Q, 0, (3,), (1,), (torch.per_tensor_affine, 0.5, 0.5), False, HOOKS),
        (Q, 0, (3,), (1,), (torch.per_tensor_affine, 0.5, 2**31), False, HOOKS),
        (Q, 0, (3,), (1,), (torch.per_tensor_affine, 0.5, 1, 1), False, HOOKS),
        (Q, 0, (3,), (1,), (torch.per_tensor_symmetric, 0.5, 1), False, HOOKS),
        (Q, 0, (3,), (1,), (CHANNELS, DOUBLES, LONGS), False, HOOKS),
        (Q, 0, (3,), (1,), (CHANNELS, DOUBLES, LONGS, 1), False, HOOKS),
        (Q, 0, (3,), (1,), (CHANNELS, DOUBLES, LONGS, -1), False, HOOKS),
        (Q, 0, (3,), (1,), (CHANNELS, DOUBLES, LONGS, 0.0), False, HOOKS),
        (Q, 0, (3,), (1,), (CHANNELS, DOUBLES, LONGS, 0, 0), False, HOOKS),
        (Q, 0, (4,), (1,), (CHANNELS, v2(D, shape=(4,)), LONGS, 0), False, HOOKS),
        (Q, 0, (4,), (1,), (CHANNELS, DOUBLES, v2(L, shape=(4,)), 0), False, HOOKS),
        (Q, 0, (3,), (1,), (CHANNELS, PARAMETER, LONGS, 0), False, HOOKS),
        (Q, 0, (3,), (1,), (CHANNELS, None, LONGS, 0), False, HOOKS),
        (Q, 0, (3,), (1,), (CHANNELS, DOUBLES, Made("torch.Size", (3,)), 0), False, HOOKS),
    ],
    "parameter": [
        (T, True),
        (T, True, HOOKS, {}),
        (LONGS, True, HOOKS),
        (None, True, HOOKS),
        (F, True, HOOKS),
        (Made("torch.Size", (1,)), True, HOOKS),
        (Made("torch.Size", (1,)), False, HOOKS),
        (utils("parameter", LONGS, False, HOOKS), True, HOOKS),
        (Made(FROM_TYPE, TENSOR, KIND, (L, *INNER[1:]), {}), True, HOOKS),
        (utils("meta_tensor_no_storage", torch.int64, (1,), (1,), False), True, HOOKS),
        (utils("device_tensor_from_cpu_tensor", LONGS, torch.int64, "cpu", False), True, HOOKS),
        (utils("tensor_v3", *INNER, torch.uint8), True, HOOKS),
        (T, True, FULL),
        (T, 1, HOOKS),
    ],
    "parameter_with_state": [
        (T, True, HOOKS),
        (T, True, HOOKS, {"_a": 1}),
        (T, 1, HOOKS, {}),
        (T, True, HOOKS, {"grad": None}),
        (T, True, HOOKS, {1: 1}),
        (T, True, HOOKS, ({"a": 1}, {"data": 1})),
        (T, True, HOOKS, [1]),
        (T, True, HOOKS, [None, None]),
        (T, True, HOOKS, ({"shape": 1}, {"a": 1})),
        (T, True, HOOKS, ({}, {}, {})),
        (T, True, HOOKS, {}, {}),
    ],
    "sparse_tensor": [
        (layout("torch.sparse_coo"),),
        (layout("torch.sparse_coo"), list(COO)),
        (layout("torch.sparse_coo"), COO[:2]),
        (layout("torch.sparse_csr"), CSR[:3]),
        (layout("torch.strided"), COO),
        (layout("torch.strided"), CSR),
        ("torch.sparse_coo", COO),
        (Made("builtins.bytearray", "torch.sparse_coo", "latin-1"), COO),
        (layout("torch.sparse_coo"), (1, *COO[1:])),
        (layout("torch.sparse_csr"), (*CSR[:2], 1, CSR[3])),
        (layout("torch.sparse_coo"), COO, 1),
    ],
    "meta_tensor_no_storage": [
        (torch.float32, (2,), (1,)),
        ("float32", (2,), (1,), False),
        (torch.int64, (2,), (1,), True),
        (torch.int64, 2, (1,), False),
        (torch.int64, (2,), 1, False),
        (torch.int64, (2,), (), False),
        (torch.device, (2,), (1,), False),
        (torch.int64, (2**62, 2), (0, 0), False),
        (torch.int64, (2,), (1,), False, 1),
    ],
    "device_tensor_from_cpu_tensor": [
        (T, torch.float32, "cpu"),
        (F, torch.float32, "cpu", True),
        (T, "float32", "cpu", True),
        (T, torch.float32, 0, True),
        (Made("torch.Size", (1,)), torch.float32, "cpu", False),
        (T, torch.int64, "cpu", True),
        (T, torch.float32, "cpu", True, 1),
    ],
    FROM_TYPE: [
        (TENSOR, KIND, INNER),
        (collections.OrderedDict, KIND, (), {}),
        (known(FROM_TYPE), KIND, (TENSOR, KIND, INNER, {}), {}),
        (TENSOR, torch.Size, INNER, {}),
        (torch._utils._rebuild_parameter, torch.Size, (T, True, HOOKS), {}),
        (TENSOR, KIND, list(INNER), {}),
        (TENSOR, torch.nn.Parameter, INNER, {}),
        (TENSOR, KIND, INNER, {"_a": 1}),
        (TENSOR, KIND, INNER[:4], {}),
        ("x", KIND, INNER, {}),
        (TENSOR, "x", INNER, {}),
        (TENSOR, KIND, INNER, {}, {}),
    ],
    "collections.OrderedDict": [
        ([("a",)],),
        ([("a", 1, 2)],),
        ((("a", 1),),),
        ([], []),
        (["ab"],),
        ([("a", 1), ((Made("builtins.set"),), 1)],),
    ],
    "collections.Counter": [({}, {}), ([],), ([("a", 1)],), (HOOKS,)],
    "builtins.set": [((1,),), ([1], [2]), ("ab",), ([2**64 + 1],), ([(0,) * 1000],)],
    "builtins.bytearray": [
        (5,),
        ("ab",),
        ("ab", "utf-8"),
        ("\u0101", "latin-1"),
        (b"ab", "latin-1"),
        ("ab", "latin-1", "strict"),
    ],
    "builtins.complex": [(1, 2), (1.0,), ("1", "2"), (1.0, 2), (1.0, 2.0, 3.0), ()],
    "_codecs.encode": [
        ("ab",),
        ("ab", "rot13"),
        ("\u0101", "latin1"),
        (b"ab", "latin1"),
        ("ab", "latin1", "strict"),
    ],
    "torch.Size": [(), ([1],), ((1,), (2,)), ((-1,),), ((2**63,),), ((1.0,),), ((True,),), (3,)],
    "torch.device": [
        (),
        (0,),
        ("cuda", 128),
        ("cuda:128",),
        ("cuda:0", 0),
        ("cuda", -1),
        ("cuda", True),
        ("gpu",),
        ("cuda:01",),
        ("cuda:",),
        ("cpu", 0, 0),
        ("cpu", "0"),
    ],
    "torch.serialization._get_layout": [
        (),
        ("strided",),
        ("torch.other",),
        (0,),
        ("torch.strided", "torch.strided"),
        ("torch.torch.strided",),
    ],
    "torch.storage.UntypedStorage": [(), (3,)],
    "torch.Tensor": [()],
}


def full(name):
    return name if "." in name else f"torch._utils._rebuild_{name}"


def each(table):
    return [
        pytest.param(full(name), args, id=f"{name}-{i}")
        for name, rows in table.items()
        for i, args in enumerate(rows)
    ]


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.identity if isinstance(value, Storage) else None


def pickled(name, args):
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(Made(name, *args))
    return stream.getvalue()


@pytest.mark.parametrize(("name", "args"), each(SOUND))
def test_a_call_as_torch_writes_it(name, args):
    payload = pickled(name, args)
    walked = walk_pickle(payload)
    assert (walked.refused, walked.forbidden, walked.fault) == ([], [], None)
    assert isinstance(walked.value, (machine.Made, dict, bytes, complex))
    if isinstance(walked.value, (dict, complex)):
        assert walked.value == known(name)(*args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = weightsfiles.with_record(BASE, "data.pkl", payload)
        torch.load(io.BytesIO(data), weights_only=True)


@pytest.mark.parametrize(("name", "args"), each(NEARLY))
def test_a_call_that_is_nearly_right(name, args):
    walked = walk_pickle(pickled(name, args))
    assert walked.refused
    assert not walked.forbidden
    assert not walked.fault
