"""What a call that a pickle asks for would return, and whether torch makes that call.

A name on torch's list is not enough: ``bytearray(10**12)`` is on it, too. Each callable is taken
with the arguments that ``torch.save`` writes, and refused with a reason otherwise.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from typing import TYPE_CHECKING, Any

from mar_core.weights.allowed import ELEMENT_BYTES
from mar_core.weights.machine import Global, LongText, Made, OrderedMap, Storage

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MAX_DIMENSIONS",
    "RefusedError",
    "are_sizes",
    "build",
    "call",
    "checked_key",
    "memory_of",
]

MAX_DIMENSIONS = 64
_MAX_SIZE = 2**63 - 1
_MAX_KEY_PARTS = 1000
_MAX_KEY = 2**64  # at most sixteen integers below share a hash
_MAX_INDEX = 127
_EXPONENT = re.compile(r"[+-]?[0-9_]{1,100}", re.ASCII)
# What makes an array of a shape, and at which place that stands.
_ARRAYS = {
    "numpy.ndarray": 0,
    "numpy._core.multiarray._reconstruct": 1,
    "numpy.core.multiarray._reconstruct": 1,
}
_SCALARS = (str, bytes, int, float, complex, bool, type(None))
_QUANTIZED = {"qint8", "quint8", "qint32", "quint4x2", "quint2x4"}
_LAYOUTS = {"strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc",
            "_mkldnn", "jagged"}  # fmt: skip
_DEVICE = re.compile(
    r"(?:cpu|cuda|ipu|xpu|mkldnn|opengl|opencl|ideep|hip|ve|fpga|maia|xla|lazy|vulkan|mps|meta|hpu"
    r"|mtia|privateuseone)(:(?:0|[1-9]\d?|1[01]\d|12[0-7]))?"
)
# What PyTorch keeps under these names on a tensor, setting it raises or changes the tensor.
_SPECIAL = """
    H T data device dtype grad grad_dtype grad_fn imag is_cpu is_cuda is_ipu is_leaf is_maia is_meta
    is_mkldnn is_mps is_mtia is_nested is_quantized is_sparse is_sparse_csr is_vulkan is_xla is_xpu
    itemsize layout mH mT name names nbytes ndim output_nr real requires_grad retains_grad shape
    volatile
"""
SPECIAL_ATTRIBUTES = frozenset(_SPECIAL.split())


class RefusedError(Exception):
    """torch does not take it; the sentence's part says what."""


def call(name: str, args: tuple[Any, ...]) -> Any:
    """What a call of an allowed name returns.

    Args:
        name: The name, such as ``torch._utils._rebuild_tensor_v2``.
        args: Its arguments, of stand-ins.

    Raises:
        RefusedError: torch does not make this call, or it is none that ``torch.save`` writes.
    """
    check = _CALLS.get(name)
    if check is None:
        raise RefusedError(f"a call of {name}")
    result = check(args)
    if result is None:
        raise RefusedError(f"a call of {name} with arguments that torch never writes")
    return Made(Global(name), args) if result is True else result


def build(target: Any, state: Any) -> None:
    """What ``BUILD`` does to what was made.

    Raises:
        RefusedError: torch does not do it, or it is nothing that ``torch.save`` writes.
    """
    if not isinstance(target, OrderedMap) or not _is_attributes(state):
        raise RefusedError("attributes set on what is no dictionary of its own")
    target.state = state


def checked_key(key: Any) -> Any:
    """A key whose hash costs little: nested tuples that share parts take forever to hash.

    Raises:
        RefusedError: It is too large, or is an object.
        TypeError: It cannot be a key at all.
    """
    parts, todo = 0, [key]
    while todo:
        part = todo.pop()
        parts += 1
        if isinstance(part, (list, dict, OrderedMap)):
            raise TypeError
        if parts > _MAX_KEY_PARTS or not isinstance(part, (*_SCALARS, Global, tuple)):
            raise RefusedError("a key that is large or an object")
        # Large integers can be chosen so that all of them have one hash.
        if isinstance(part, int) and abs(part) > _MAX_KEY:
            raise RefusedError("a key that is a huge integer")
        if isinstance(part, tuple):
            todo.extend(part)
    return key


def are_sizes(values: Any) -> bool:
    """Whether it is a tuple of sizes, strides or offsets."""
    return (
        type(values) is tuple
        and len(values) <= MAX_DIMENSIONS
        and all(type(v) is int and 0 <= v <= _MAX_SIZE for v in values)
    )


def _is_shape(values: Any) -> bool:
    """Sizes whose product PyTorch can count; it stops at one too large before it meets a 0."""
    return are_sizes(values) and all(
        count <= _MAX_SIZE for count in itertools.accumulate(values, operator.mul)
    )


def _is_attributes(state: Any) -> bool:
    return type(state) is dict and all(type(key) is str for key in state)


def _is_dtype(value: Any) -> bool:
    return isinstance(value, Global) and value.name.removeprefix("torch.") in ELEMENT_BYTES


def _is_tensor(value: Any) -> bool:
    """A tensor of one of the plain kinds, or a parameter."""
    return isinstance(value, Made) and str(value.maker) in _TENSORS


def _can_require_grad(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat", "complex"))


def _is_flag(value: Any, dtype: str) -> bool:
    """``requires_grad``, which only numbers with a fraction can have."""
    return value is False or (value is True and _can_require_grad(dtype))


def _is_hooks(value: Any) -> bool:
    return value is None or (isinstance(value, OrderedMap) and not value)


def _ordered_dict(args: tuple[Any, ...]) -> OrderedMap | None:
    """``OrderedDict()``, or with its items as Python 2 wrote them."""
    made = OrderedMap()
    if not args:
        return made
    items = args[0]
    if len(args) > 1 or type(items) is not list:
        return None
    for pair in items:
        if type(pair) not in {list, tuple} or len(pair) != 2:  # noqa: PLR2004
            return None
        made[checked_key(pair[0])] = pair[1]
    return made


def _counter(args: tuple[Any, ...]) -> OrderedMap | None:
    made = OrderedMap()
    if args and (len(args) > 1 or type(args[0]) is not dict):
        return None
    made.update(args[0] if args else {})
    return made


def _set(args: tuple[Any, ...]) -> bool | None:
    if args and (len(args) > 1 or type(args[0]) is not list):
        return None
    for item in args[0] if args else ():
        checked_key(item)
    return True


def memory_of(name: str, args: tuple[Any, ...]) -> int:
    """Bytes at least that a call fills on the word of a number: of others the pickle holds them.

    Args:
        name: What is called.
        args: Its arguments, of stand-ins.
    """
    if name == "builtins.bytearray":
        return args[0] if args and type(args[0]) is int and args[0] > 0 else 0
    if name in _ARRAYS:
        shape = args[_ARRAYS[name]] if len(args) > _ARRAYS[name] else ()
        return math.prod(shape if are_sizes(shape) else ())
    if name == "fractions.Fraction" and args and type(args[0]) is str:
        exponent = args[0].lower().partition("e")[2].strip()
        return abs(int(exponent)) if _EXPONENT.fullmatch(exponent) else 0
    return 0


def _bytearray(args: tuple[Any, ...]) -> bool | None:
    if args and (len(args) != 2 or args[1] != "latin-1" or not _is_latin(args[0])):  # noqa: PLR2004
        return None if not (len(args) == 1 and type(args[0]) is bytes) else True
    return True


def _complex(args: tuple[Any, ...]) -> complex | None:
    pair = len(args) == 2 and all(type(part) is float for part in args)  # noqa: PLR2004
    return complex(*args) if pair else None


def _encode(args: tuple[Any, ...]) -> Any:
    """How protocol 2 writes bytes."""
    if len(args) != 2 or args[1] != "latin1" or not _is_latin(args[0]):  # noqa: PLR2004
        return None
    return args[0].encode("latin-1") if type(args[0]) is str else True


def _is_latin(text: Any) -> bool:
    if isinstance(text, LongText):
        return text.latin
    return type(text) is str and (text.isascii() or all(char <= "\xff" for char in text))


def _size(args: tuple[Any, ...]) -> bool | None:
    return True if len(args) == 1 and are_sizes(args[0]) else None


def _device(args: tuple[Any, ...]) -> bool | None:
    if not 1 <= len(args) <= 2 or type(args[0]) is not str:  # noqa: PLR2004
        return None
    named = _DEVICE.fullmatch(args[0])
    index = args[1] if len(args) > 1 else None
    if named is None or (len(args) > 1 and (named[1] or type(index) is not int)):
        return None
    return True if index is None or 0 <= index <= _MAX_INDEX else None


def _layout(args: tuple[Any, ...]) -> bool | None:
    known = len(args) == 1 and type(args[0]) is str and args[0].removeprefix("torch.") in _LAYOUTS
    return True if known and args[0].startswith("torch.") else None


def _geometry(args: tuple[Any, ...], dtype: str | None = None) -> str | None:
    """The dtype of ``storage, offset, size, stride``; None where they do not belong together.

    Also a tensor that nothing refers to is made by whoever loads the pickle.
    """
    storage, offset, shape, strides = args[:4]
    proper = isinstance(storage, Storage) and are_sizes((offset,)) and _is_shape(shape)
    if not proper or not are_sizes(strides) or len(shape) != len(strides):
        return None
    dtype = dtype or storage.dtype
    reach = sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) + 1
    needed = (offset + (reach if 0 not in shape else 0)) * ELEMENT_BYTES[dtype]
    if needed > storage.nbytes:
        raise RefusedError("a tensor that reaches beyond its storage")
    return dtype


def _tensor(args: tuple[Any, ...]) -> bool | None:
    return True if len(args) == 4 and _geometry(args) else None  # noqa: PLR2004


def _tensor_v2(args: tuple[Any, ...]) -> bool | None:
    if not 6 <= len(args) <= 7:  # noqa: PLR2004
        return None
    dtype = _geometry(args)
    if not dtype or not _is_flag(args[4], dtype) or not _is_hooks(args[5]):
        return None
    return True if _is_metadata(args[6:], dtype) else None


def _tensor_v3(args: tuple[Any, ...]) -> bool | None:
    if not 7 <= len(args) <= 8 or not _is_dtype(args[6]):  # noqa: PLR2004
        return None
    dtype = args[6].name.removeprefix("torch.")
    # torch cannot set the storage of one that requires a gradient, though it writes such tensors.
    if not _geometry(args, dtype) or args[4] is not False or not _is_hooks(args[5]):
        return None
    return True if _is_metadata(args[7:], dtype) else None


def _is_metadata(rest: tuple[Any, ...], dtype: str) -> bool:
    """What ``conj()`` and ``_neg_view()`` leave on a tensor of complex numbers."""
    if not rest or rest[0] in (None, {}):
        return True
    marks = rest[0]
    known = type(marks) is dict and set(marks) <= {"conj", "neg"}
    return (
        known and dtype.startswith("complex") and all(type(mark) is bool for mark in marks.values())
    )


def _qtensor(args: tuple[Any, ...]) -> bool | None:
    if len(args) != 7 or _geometry(args) not in _QUANTIZED or args[5] is not False:  # noqa: PLR2004
        return None
    how = args[4]
    if (
        not _is_hooks(args[6])
        or type(how) is not tuple
        or not how
        or not isinstance(how[0], Global)
    ):
        return None
    if how[0].name == "torch.per_tensor_affine":
        numbers = len(how) == 3 and type(how[1]) is float and type(how[2]) is int  # noqa: PLR2004
        return True if numbers and abs(how[2]) < 2**31 else None
    if how[0].name not in {
        "torch.per_channel_affine", "torch.per_channel_affine_float_qparams",
    }:  # fmt: skip
        return None
    if len(how) != 4 or type(how[3]) is not int or not 0 <= how[3] < len(args[2]):  # noqa: PLR2004
        return None
    channels = (args[2][how[3]],)
    return True if all(_shape(part) == channels for part in how[1:3]) else None


def _shape(value: Any) -> tuple[int, ...] | None:
    plain = _is_tensor(value) and str(value.maker).startswith("torch._utils._rebuild_tensor")
    return value.args[2] if plain else None


def _parameter(args: tuple[Any, ...]) -> bool | None:
    if len(args) != 3 or not _is_tensor(args[0]) or not _is_hooks(args[2]):  # noqa: PLR2004
        return None
    return True if _is_flag(args[1], tensor_dtype(args[0])) else None


def _parameter_with_state(args: tuple[Any, ...]) -> bool | None:
    return _parameter(args[:3]) if len(args) == 4 and _is_state(args[3]) else None  # noqa: PLR2004


def _is_state(state: Any) -> bool:
    """Attributes of a tensor, as people set them."""
    if type(state) is tuple and len(state) == 2:  # noqa: PLR2004
        return _is_state(state[0]) and _is_state(state[1])
    if state is None:
        return True
    return _is_attributes(state) and not any(
        key.startswith("_") or key in SPECIAL_ATTRIBUTES for key in state
    )


def _from_type(args: tuple[Any, ...]) -> bool | None:
    if len(args) != 4 or not all(isinstance(part, Global) for part in args[:2]):  # noqa: PLR2004
        return None
    function, kind, inner, state = args
    if function.name not in _TENSORS or function.name == "torch._tensor._rebuild_from_type_v2":
        return None
    plain = kind.name == "torch.Tensor" or (
        kind.name == "torch.nn.parameter.Parameter" and "parameter" in function.name
    )
    if not plain or type(inner) is not tuple or not _is_state(state):
        return None
    call(function.name, inner)
    return True


def _sparse(args: tuple[Any, ...]) -> bool | None:
    """Whether its indices are in range, their numbers say, which only a load reads."""
    if len(args) != 2 or type(args[1]) is not tuple:  # noqa: PLR2004
        return None
    layout, data = args
    if not isinstance(layout, Made) or str(layout.maker) != "torch.serialization._get_layout":
        return None
    tensors = 2 if layout.args[0] == "torch.sparse_coo" else 3
    if not layout.args[0].startswith("torch.sparse_") or len(data) <= tensors:
        return None
    return True if all(_is_tensor(part) for part in data[:tensors]) else None


def _meta(args: tuple[Any, ...]) -> bool | None:
    if len(args) != 4 or not _is_dtype(args[0]):  # noqa: PLR2004
        return None
    proper = _is_shape(args[1]) and are_sizes(args[2]) and len(args[1]) == len(args[2])
    return True if proper and _is_flag(args[3], args[0].name.removeprefix("torch.")) else None


def _moved(args: tuple[Any, ...]) -> bool | None:
    """What a device without storages of its own, such as XLA, writes."""
    if len(args) != 4 or not _is_tensor(args[0]) or not _is_dtype(args[1]):  # noqa: PLR2004
        return None
    dtype = args[1].name.removeprefix("torch.")
    return True if type(args[2]) is str and _is_flag(args[3], dtype) else None


def tensor_dtype(value: Made) -> str:
    """The dtype of what a tensor's call returns."""
    name, args = str(value.maker), value.args
    if name == "torch._tensor._rebuild_from_type_v2":
        return tensor_dtype(Made(args[0], args[2]))
    if name in {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}:
        return tensor_dtype(args[0])
    kind = {_V3: 6, _META: 0, _MOVED: 1}.get(name)
    if kind is not None:
        return str(args[kind].name.removeprefix("torch."))
    return args[0].dtype if isinstance(args[0], Storage) else "unknown"


_V3 = "torch._utils._rebuild_tensor_v3"
_META = "torch._utils._rebuild_meta_tensor_no_storage"
_MOVED = "torch._utils._rebuild_device_tensor_from_cpu_tensor"
_TENSOR_CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    _V3: _tensor_v3,
    "torch._utils._rebuild_qtensor": _qtensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter_with_state,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    _META: _meta,
    _MOVED: _moved,
}
_TENSORS = frozenset(_TENSOR_CALLS)
_CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    **_TENSOR_CALLS,
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _counter,
    "builtins.set": _set,
    "builtins.bytearray": _bytearray,
    "builtins.complex": _complex,
    "_codecs.encode": _encode,
    "torch.Size": _size,
    "torch.device": _device,
    "torch.serialization._get_layout": _layout,
}
