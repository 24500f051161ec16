"""Every name that ``torch.load(weights_only=True)`` takes, so that nobody has to import torch.

A test holds the list to the installed torch: names that it adds or drops are noticed there.
"""

from __future__ import annotations

__all__ = ["ALLOWED", "DATA", "ELEMENT_BYTES", "RECORDED_WITH", "STORAGE_DTYPES"]

RECORDED_WITH = "2.15"

_NAMES = {
    "_codecs": "encode",
    "builtins": "bytearray complex set",
    "collections": "Counter OrderedDict",
    "torch": """
        BFloat16Storage BFloat16Tensor BoolStorage BoolTensor ByteStorage ByteTensor
        CharStorage CharTensor ComplexDoubleStorage ComplexFloatStorage DoubleStorage
        DoubleTensor FloatStorage FloatTensor HalfStorage HalfTensor IntStorage IntTensor
        LongStorage LongTensor QInt32Storage QInt8Storage QUInt2x4Storage QUInt4x2Storage
        QUInt8Storage ShortStorage ShortTensor Size Tensor bcomplex32 bfloat16 bits16
        bits1x8 bits2x4 bits4x2 bits8 bool complex128 complex32 complex64 device float16
        float32 float4_e2m1fn_x2 float64 float8_e4m3fn float8_e4m3fnuz float8_e5m2
        float8_e5m2fnuz float8_e8m0fnu int1 int16 int2 int3 int32 int4 int5 int6 int64 int7
        int8 per_channel_affine per_channel_affine_float_qparams per_channel_symmetric
        per_tensor_affine per_tensor_symmetric qint32 qint8 quint2x4 quint4x2 quint8 uint1
        uint16 uint2 uint3 uint32 uint4 uint5 uint6 uint64 uint7 uint8
    """,
    "torch._tensor": "_rebuild_from_type_v2",
    "torch._utils": """
        _rebuild_device_tensor_from_cpu_tensor _rebuild_device_tensor_from_numpy
        _rebuild_meta_tensor_no_storage _rebuild_parameter _rebuild_parameter_with_state
        _rebuild_qtensor _rebuild_sparse_tensor _rebuild_tensor _rebuild_tensor_v2
        _rebuild_tensor_v3 _rebuild_wrapper_subclass
    """,
    "torch.cuda": """
        BFloat16Storage BFloat16Tensor BoolStorage BoolTensor ByteStorage ByteTensor
        CharStorage CharTensor ComplexDoubleStorage ComplexFloatStorage DoubleStorage
        DoubleTensor FloatStorage FloatTensor HalfStorage HalfTensor IntStorage IntTensor
        LongStorage LongTensor ShortStorage ShortTensor
    """,
    "torch.cuda.sparse": """
        BFloat16Tensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor
        LongTensor ShortTensor
    """,
    "torch.nn.parameter": "Parameter",
    "torch.serialization": "_get_layout",
    "torch.sparse": """
        BFloat16Tensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor
        LongTensor ShortTensor
    """,
    "torch.storage": "TypedStorage UntypedStorage",
}

ALLOWED = frozenset(
    f"{module}.{name}" for module, names in _NAMES.items() for name in names.split()
)

# What people pickle beside tensors: values of Python itself, and NumPy's arrays and numbers. Making
# one runs nothing but its own constructor, which takes numbers, strings and containers. Not here:
# whatever calls a function that it is given (``functools.partial``, ``map``), opens something, or
# fills memory on the word of one number (``range``, ``bytes``).
_DATA = {
    "builtins": "bool dict float frozenset int list slice str tuple",
    "collections": "defaultdict deque",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "numpy": "dtype ndarray",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy._core.numeric": "_frombuffer",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "uuid": "UUID",
}

DATA = frozenset(f"{module}.{name}" for module, names in _DATA.items() for name in names.split())

_STORAGES = {
    "BFloat16Storage": "bfloat16", "BoolStorage": "bool", "ByteStorage": "uint8",
    "CharStorage": "int8", "ComplexDoubleStorage": "complex128", "ComplexFloatStorage": "complex64",
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "IntStorage": "int32", "LongStorage": "int64", "QInt32Storage": "qint32",
    "QInt8Storage": "qint8", "QUInt2x4Storage": "quint2x4", "QUInt4x2Storage": "quint4x2",
    "QUInt8Storage": "quint8", "ShortStorage": "int16",
}  # fmt: skip

# The storage classes that a pickle may name, and the type of their elements.
STORAGE_DTYPES = {
    "torch.storage.UntypedStorage": "uint8",
    **{
        f"{module}.{name}": dtype
        for module in ("torch", "torch.cuda")
        for name, dtype in _STORAGES.items()
        if f"{module}.{name}" in ALLOWED
    },
}

_WIDE = {
    "bool": 1, "bfloat16": 2, "float16": 2, "float32": 4, "float64": 8, "complex32": 4,
    "bcomplex32": 4, "complex64": 8, "complex128": 16, "int16": 2, "int32": 4, "int64": 8,
    "uint16": 2, "uint32": 4, "uint64": 8, "qint32": 4, "bits16": 2,
}  # fmt: skip
_STEMS = (
    "bits", "bool", "bfloat", "bcomplex", "complex", "float", "int", "uint", "qint", "quint",
)  # fmt: skip
_DTYPES = {name for name in _NAMES["torch"].split() if name.startswith(_STEMS)}

# The bytes that one element of each dtype takes.
ELEMENT_BYTES = {name: _WIDE.get(name, 1) for name in sorted(_DTYPES)}
