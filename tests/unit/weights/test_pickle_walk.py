"""The walk over pickles: what would run is found, what torch takes is taken, nothing runs."""

from __future__ import annotations

import collections
import datetime as dt
import fractions
import io
import pickle
import sys

import hostile_pickles
import pytest
import torch
import weightsfiles
from hypothesis import given, settings
from hypothesis import strategies as st

from mar_core.weights import allowed, examine
from mar_core.weights.opcodes import TORCH_OPCODES
from mar_core.weights.pickles import walk_pickle

CALLS = hostile_pickles.calls("MARK")
SHAPES = hostile_pickles.shapes("MARK")


def codes(data: bytes) -> set[str]:
    return {fault.code for fault in examine(io.BytesIO(data)).faults}


def takes(data: bytes) -> bool:
    """Whether a weights_only load takes it."""
    try:
        torch.load(io.BytesIO(data), weights_only=True)
    except pickle.UnpicklingError:
        return False
    return True


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "mark"


def naive_torch_load(stream):
    return torch.load(stream, weights_only=False)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_found_and_not_made(name, mark):
    call = hostile_pickles.calls(str(mark))[name]
    data = hostile_pickles.pickled(call)
    assert hostile_pickles.fires(data, mark), "the payload is no payload"
    walked = walk_pickle(data)
    assert walked.forbidden
    wrapped = hostile_pickles.inside_torch_zip(data)
    assert "MAR-W003" in codes(wrapped)
    assert not takes(wrapped)
    assert not mark.exists()


@pytest.mark.parametrize("name", SHAPES)
def test_however_it_is_written(name, mark):
    data = hostile_pickles.shapes(str(mark))[name]
    assert hostile_pickles.fires(data, mark), "the payload is no payload"
    walked = walk_pickle(data)
    assert any(found.endswith((".system", ".Popen")) for found in walked.forbidden)
    assert "MAR-W003" in codes(hostile_pickles.inside_torch_zip(data))
    assert "MAR-W003" in codes(hostile_pickles.legacy_with(data))
    assert not mark.exists()


def test_a_payload_in_the_legacy_format_fires_when_loaded_naively(mark):
    data = hostile_pickles.legacy_with(hostile_pickles.shapes(str(mark))["protocol 2"])
    assert hostile_pickles.fires(data, mark, naive_torch_load)
    assert not takes(data)
    assert not mark.exists()


def test_a_payload_in_a_zip_fires_when_loaded_naively(mark):
    payload = hostile_pickles.shapes(str(mark))["protocol 2"]
    data = hostile_pickles.inside_torch_zip(payload)
    assert hostile_pickles.fires(data, mark, naive_torch_load)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02\x82\x01.",  # the extension registry
        b"\x80\x02P1\n.",  # a persistent reference by name
        b"\x80\x02(X\x06\x00\x00\x00moduleNNNtQ.",
        b"\x80\x02ccollections\ndeque\n)R(Ne.",
        b"\x80\x02csubprocess\nPopen\n)\x81.",
        b"\x80\x04csubprocess\nPopen\n)}\x92.",
    ],
    ids=["extension", "by name", "module", "append to an object", "NEWOBJ", "NEWOBJ_EX"],
)
def test_what_no_state_dict_does(data):
    assert walk_pickle(data).forbidden
    assert "MAR-W003" in codes(hostile_pickles.inside_torch_zip(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02.",
        b"\x80\x02N(.",
        b"\x80\x02(t0t.",
        b"\x80\x02h\x07.",
        b"\x80\x02Na.",
        b"\x80\x02}(NNNu.",
        b"\x80\x02}}Ns.",
        b"\x80\x02NR.",
        b"\x80\x02NNR.",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x02c\xff\n\xff\n.",
        b"\x80\x02\x93.",
        b"\xff",
    ],
    ids=repr,
)
def test_a_damaged_pickle_is_a_fault(data):
    walked = walk_pickle(data)
    assert walked.fault
    assert "MAR-W006" in codes(hostile_pickles.inside_torch_zip(data))


def test_keys_that_would_take_forever_to_hash():
    assert (
        "a key that is large or an object"
        in walk_pickle(b"\x80\x02}()" + b"2\x86" * 60 + b"Nu.").refused
    )
    assert walk_pickle(b"\x80\x02}()" + b"2\x86" * 5 + b"Nu.").refused == ["the opcode DUP"]


def test_a_pickle_that_is_too_long_is_not_taken():
    walked = walk_pickle(b"\x80\x02" + b"N0" * 1_000_000 + b"N.")
    assert walked.unchecked


@given(st.binary(max_size=300))
def test_no_bytes_make_the_walk_raise(data):
    walk_pickle(data)
    walk_pickle(b"\x80\x04" + data)


# --- the list is torch's -------------------------------------------------------------------------


def test_the_names_are_those_of_torch():
    from torch._weights_only_unpickler import _get_allowed_globals

    known = set(_get_allowed_globals())
    assert known <= allowed.ALLOWED
    if torch.__version__.startswith(allowed.RECORDED_WITH):
        assert known == allowed.ALLOWED


def test_the_sizes_of_elements_are_those_of_torch():
    from torch._utils import _element_size

    for name, size in allowed.ELEMENT_BYTES.items():
        dtype = getattr(torch, name, None)
        try:
            assert _element_size(dtype) == size, name
        except (TypeError, RuntimeError, AttributeError):  # torch has no size for it, or no dtype
            assert dtype is None or not (dtype.is_floating_point or dtype.is_complex), name


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_the_storages_are_those_of_torch():
    for name, dtype in allowed.STORAGE_DTYPES.items():
        if name == "torch.storage.UntypedStorage" or name.startswith("torch.cuda"):
            continue
        kind = getattr(torch, name.removeprefix("torch."))
        assert str(kind.dtype) == f"torch.{dtype}"


def test_the_opcodes_are_those_of_torch():
    from torch import _weights_only_unpickler as unpickler

    names = {name: value for name, value in vars(pickle).items() if name.isupper()}
    theirs = {name for name in names if hasattr(unpickler, name)}
    assert {name for name in theirs if isinstance(names[name], bytes)} == TORCH_OPCODES


# --- what torch takes is taken -------------------------------------------------------------------

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool,
          torch.complex64]  # fmt: skip
NEW_DTYPES = [torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint64]
tensors = st.builds(
    lambda shape, dtype, grad: torch.zeros(shape, dtype=dtype).requires_grad_(
        grad and dtype.is_floating_point and dtype.itemsize > 1
    ),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from(DTYPES),
    st.booleans(),
)
leaves = st.one_of(
    tensors,
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.complex_numbers(allow_nan=False),
    st.sampled_from([*DTYPES, torch.Size([1, 2]), torch.device("cpu"), torch.strided]),
    st.sampled_from([dt.date(2000, 1, 1), fractions.Fraction(1, 3), collections.deque(),
                     collections.defaultdict(list), frozenset({1}), range(3), bytearray(b"x")]),
    st.builds(torch.nn.Parameter, st.just(torch.ones(2))),
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(collections.OrderedDict),
        st.sets(st.integers(-(2**64), 2**64), max_size=3),
        st.dictionaries(st.text(max_size=3), st.integers(), max_size=2).map(collections.Counter),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(value=values, legacy=st.booleans())
def test_the_walk_and_torch_agree(value, legacy):
    data = weightsfiles.saved(value, _use_new_zipfile_serialization=not legacy)
    assert (not codes(data)) == takes(data), examine(io.BytesIO(data)).faults


@pytest.mark.parametrize("dtype", NEW_DTYPES, ids=str)
def test_dtypes_without_a_storage_class_of_their_own(dtype):
    data = weightsfiles.saved({"w": torch.zeros(3, 2, dtype=dtype)})
    (tensor,) = examine(io.BytesIO(data)).tensors
    assert takes(data)
    assert not codes(data)
    assert (f"torch.{tensor.dtype}", tensor.shape) == (str(dtype), (3, 2))


def test_shared_and_strided_tensors_are_one_storage():
    base = torch.arange(12.0).reshape(3, 4)
    data = weightsfiles.saved({"whole": base, "turned": base.T, "row": base[1]})
    report = examine(io.BytesIO(data))
    assert not report.faults
    found = {tensor.name: tensor for tensor in report.tensors}
    assert found["turned"].shape == (4, 3)
    assert found["turned"].strides == (1, 4)
    assert found["row"].offset == 4
    assert len({tensor.storage for tensor in report.tensors}) == 1


def test_nothing_of_torch_is_imported():
    code = (
        "import sys; from mar_core.weights import examine; import io\n"
        f"report = examine(io.BytesIO({weightsfiles.state_dict()!r}))\n"
        "assert report.listed and 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True)
