"""The pickle machine: pickles walked opcode by opcode, with nothing imported, called or built.

What a pickle may hold is an allow-list for data. A list of harmful names is always incomplete; this
one is complete by construction. The machine follows the stack with inert stand-ins and notes

- ``forbidden``: names and calls that are on no list, which could run code,
- ``refused``: what harms nobody, and what ``torch.load(weights_only=True)`` still does not take,
- ``fault``: where every unpickler stops. The machine stops only there, since what stands behind a
  stop never runs; wherever one of them might go on, it goes on, too.

The groups of opcodes below say why each may be in data. Tests hold the machine to torch's own.
"""

from __future__ import annotations

import _compat_pickle
import codecs
import io
import pickle
import struct
from typing import TYPE_CHECKING, Any

from mar_core.format.file import CHUNK
from mar_core.weights.allowed import ALLOWED, STORAGE_DTYPES
from mar_core.weights.machine import (
    MARK,
    MAX_LINE,
    FaultError,
    Global,
    LongText,
    Machine,
    Made,
    Storage,
)
from mar_core.weights.rebuild import RefusedError, build, call, checked_key, memory_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ACTIONS", "TORCH_OPCODES"]

_KEPT = 1 << 20
_MAX_NAME = 200
_MAX_ELEMENTS = 2**60
_DIGITS = frozenset("0123456789abcdefxoABCDEFXOLl+-_ \t")

# The opcodes that torch's own unpickler knows.
TORCH_OPCODES = frozenset(
    {
        "APPEND", "APPENDS", "BINFLOAT", "BINGET", "BININT", "BININT1", "BININT2", "BINPERSID",
        "BINPUT", "BINUNICODE", "BUILD", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET", "EMPTY_TUPLE",
        "GLOBAL", "LONG1", "LONG_BINGET", "LONG_BINPUT", "MARK", "NEWFALSE", "NEWOBJ", "NEWTRUE",
        "NONE", "PROTO", "REDUCE", "SETITEM", "SETITEMS", "SHORT_BINSTRING", "STOP", "TUPLE",
        "TUPLE1", "TUPLE2", "TUPLE3",
    }
)  # fmt: skip


# --- Numbers, strings and bytes: they are what they say, and making them runs nothing. ------------


def _number(width: int, *, signed: bool = False) -> Callable[[Machine], None]:
    def push(m: Machine) -> None:
        m.stack.append(int.from_bytes(m.take(width), "little", signed=signed))

    return push


def _long(width: int) -> Callable[[Machine], None]:
    def push(m: Machine) -> None:
        length = int.from_bytes(m.take(width), "little", signed=width > 1)
        if not 0 <= length <= m.size:
            raise FaultError("it has a number of no length")
        if length > MAX_LINE:  # turning a long number into text or a hash costs too much
            _skip(m, length)
            m.refuse("a number that is too long to be checked")
            m.stack.append(0)
        else:
            m.stack.append(int.from_bytes(m.take(length), "little", signed=True))

    return push


def _float(m: Machine) -> None:
    m.stack.append(struct.unpack(">d", m.take(8))[0])


def _decimal(m: Machine) -> None:
    """INT and LONG: C reads more forms than Python does, such as ``010``."""
    text = m.line().decode("latin-1")
    if text in {"00", "01"}:
        m.stack.append(text == "01")
        return
    if not text or not _DIGITS.issuperset(text):
        raise ValueError
    try:
        m.stack.append(int(text.rstrip("L"), 0) if len(text) < _MAX_NAME else 0)
    except ValueError:
        m.stack.append(0)


def _decimal_float(m: Machine) -> None:
    raw = m.line()
    m.stack.append(float(raw) if len(raw) < MAX_LINE else 0.0)


def _text(width: int) -> Callable[[Machine], None]:
    """A string in UTF-8; one that is too long to keep is read for its faults alone."""

    def push(m: Machine) -> None:
        length = m.unsigned(width)
        if length > m.size - m.stream.tell():
            raise FaultError("it has a string that is longer than the file")
        m.budget.spend(length)
        if length <= _KEPT:
            m.stack.append(m.take(length).decode("utf-8", "surrogatepass"))
        else:
            m.stack.append(_long_text(m, length))

    return push


def _long_text(m: Machine, length: int) -> LongText:
    decoder, latin, left = codecs.getincrementaldecoder("utf-8")("surrogatepass"), True, length
    while left:
        part = decoder.decode(m.take(min(left, CHUNK)), final=left <= CHUNK)
        latin = latin and (part.isascii() or max(part) <= "\xff")
        left -= min(left, CHUNK)
    return LongText(length, latin)


def _byte_string(width: int, *, text: bool = False) -> Callable[[Machine], None]:
    """Bytes; what Python 2 called a string torch decodes, others may not."""

    def push(m: Machine) -> None:
        length = int.from_bytes(m.take(width), "little", signed=text and width > 1)
        if not 0 <= length <= m.size - m.stream.tell():
            raise FaultError("it has a string that is longer than the file")
        if length > _KEPT:
            _skip(m, length)
            m.stack.append(LongText(length, latin=True))
            return
        raw = m.take(length)
        m.budget.spend(length)
        m.stack.append(_python2_text(m, raw) if text else raw)

    return push


def _python2_text(m: Machine, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        m.refuse("a string that is not UTF-8")
        return raw.decode("latin-1")


def _quoted(m: Machine) -> None:
    raw = m.line()
    if len(raw) == MAX_LINE:
        m.stack.append(LongText(len(raw), latin=True))
        return
    raw = raw.strip()
    if len(raw) < 2 or raw[:1] != raw[-1:] or raw[:1] not in b"'\"":  # noqa: PLR2004
        raise FaultError("it has a string without quotes")
    m.stack.append(codecs.escape_decode(raw[1:-1])[0].decode("latin-1"))


def _escaped(m: Machine) -> None:
    m.stack.append(m.line().decode("raw-unicode-escape"))


def _buffer(m: Machine) -> None:
    m.forbid("a buffer from outside of it", acts=False)
    m.stack.append(Made(None, ()))


def _skip(m: Machine, length: int) -> None:
    m.stream.seek(length, io.SEEK_CUR)


# --- Containers: empty ones are made, and filled with what is on the stack. Only where the target
# --- is one of these; ``append`` or ``[key]=`` of anything else is a method that could do anything.


def _pushes(make: Callable[[], Any]) -> Callable[[Machine], None]:
    return lambda m: m.stack.append(make())


def _tuple(count: int) -> Callable[[Machine], None]:
    def push(m: Machine) -> None:
        items = [m.pop() for _ in range(count)]
        m.stack.append(tuple(items[::-1]))

    return push


def _dict(m: Machine) -> None:
    items = m.pop_to_mark()
    m.stack.append({})
    _set_items(m, items)


def _frozen(m: Machine) -> None:
    m.stack.append(Made(Global("builtins.frozenset"), (m.pop_to_mark(),)))


def _extend(m: Machine, items: list[Any]) -> None:
    target = m.top()
    if type(target) is list:
        target.extend(items)
    elif isinstance(target, (Made, Global)):
        _touch(m, target, "an addition to")
    else:
        raise TypeError


def _set_items(m: Machine, items: list[Any]) -> None:
    target = m.top()
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value
    elif isinstance(target, (Made, Global)):
        _touch(m, target, "an item set on")
    elif type(target) is list:
        m.refuse("an item set on a list")
    else:
        raise TypeError


def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    _set_items(m, [key, value])


def _add_items(m: Machine) -> None:
    items, target = m.pop_to_mark(), m.top()
    if not isinstance(target, Made):
        raise TypeError
    if str(target.maker) == "builtins.set":
        for item in items:
            if type(item) in {list, dict}:
                raise TypeError
    else:
        _touch(m, target, "an addition to")


def _touch(m: Machine, target: Made | Global, how: str) -> None:
    """A method of something that is no plain container."""
    maker = target.maker if isinstance(target, Made) else None
    if not isinstance(maker, Global):
        m.forbid(f"{how} something computed")
    elif not (m.plain and maker.name in _FILLED):
        m.forbid(f"{how} what {_short(maker)} returns")


# What Python's own pickler fills after it has made it.
_FILLED = {"collections.deque", "collections.defaultdict"}


# --- The stack and the memo: what is there already is used again. ---------------------------------


def _stop(m: Machine) -> None:
    m.report.value = m.pop()
    m.stopped = True


def _put(m: Machine, index: int) -> None:
    if index < 0:
        raise ValueError
    m.memo[index] = m.top()


def _ignore(count: int) -> Callable[[Machine], None]:
    """The protocol and frames have no effect on the stack."""

    def skip(m: Machine) -> None:
        m.take(count)

    return skip


def _pop(m: Machine) -> None:
    m.stack.pop()


def _pop_mark(m: Machine) -> None:
    m.pop_to_mark()


# --- Names: a module would be imported, so the name must be on the list. --------------------------


def _global(m: Machine) -> None:
    _import(m, *_two_lines(m))


def _two_lines(m: Machine) -> tuple[str, str]:
    return m.line().decode("utf-8"), m.line().decode("utf-8")


def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise TypeError
    _import(m, module, name)


def _import(m: Machine, module: str, name: str) -> None:
    module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
    full = f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}"
    if not m.knows(full):
        m.forbid(full[:_MAX_NAME], acts=False)
    # Text, read as a pickle, imports parts of sentences.
    m.report.ends |= not all(map(str.isidentifier, full.split(".")))
    m.stack.append(Global(full))


def _extension(width: int) -> Callable[[Machine], None]:
    def push(m: Machine) -> None:
        m.forbid(f"number {m.unsigned(width)} of the extension registry")
        m.stack.append(Global("copyreg.extension"))

    return push


# --- Calls: only of names on the list, with the arguments that torch.save writes. -----------------


def _reduce(m: Machine) -> None:
    args, maker = m.pop(), m.pop()
    _call(m, maker, args)


def _new(m: Machine) -> None:
    """Torch makes only what it allows; of these, torch.save writes only empty dictionaries."""
    args, maker = m.pop(), m.pop()
    if str(maker) not in {"collections.OrderedDict", "collections.Counter"} or args != ():
        m.refuse(f"a new object of {_short(maker)}")
    _call(m, maker, args)


def _new_with_keywords(m: Machine) -> None:
    keywords, args, maker = m.pop(), m.pop(), m.pop()
    _call(m, maker, (*args, keywords) if type(args) is tuple else args)


def _instance(m: Machine) -> None:
    names = _two_lines(m)
    args = tuple(m.pop_to_mark())
    _import(m, *names)
    _call(m, m.pop(), args)


def _object(m: Machine) -> None:
    maker, *args = m.pop_to_mark()
    _call(m, maker, tuple(args))


def _call(m: Machine, maker: Any, args: Any) -> None:
    if type(args) is not tuple:
        if not isinstance(args, (list, dict, str, bytes)):
            raise TypeError
        m.refuse("a call with what is no tuple")  # torch calls with anything that it can unpack
        args = ()
    if isinstance(maker, Global) and (filled := memory_of(maker.name, args)):
        m.budget.spend(filled)
    if not isinstance(maker, Global):
        m.forbid("a call of something computed")
        m.stack.append(Made(None, args))
    elif maker.name not in ALLOWED:
        if not m.knows(maker.name):
            m.act()
        m.stack.append(Made(maker, args))
    else:
        _call_allowed(m, maker, args)


def _call_allowed(m: Machine, maker: Global, args: tuple[Any, ...]) -> None:
    try:
        m.stack.append(call(maker.name, args))
    except RefusedError as refused:
        m.refuse(str(refused))
        m.stack.append(Made(maker, args))


def _short(maker: Any) -> str:
    return maker.name[:_MAX_NAME] if isinstance(maker, Global) else "something computed"


# --- BUILD sets attributes, or calls ``__setstate__``: only on dictionaries of torch.save. --------


def _build(m: Machine) -> None:
    state, target = m.pop(), m.top()
    if isinstance(target, Global) or (isinstance(target, Made) and target.maker is None):
        m.forbid(f"attributes set on {_short(target)}")
    elif isinstance(target, Made):
        target.state = state
        if not m.knows(str(target.maker)):
            m.act()  # the name itself has been noted
        m.refuse(f"attributes set on what {_short(target.maker)} returns")
    else:
        build(target, state)


# --- Persistent references: whoever loads says what they mean; torch means its storages. ----------


def _persistent(m: Machine) -> None:
    identity = m.pop()
    kind = identity[0] if type(identity) is tuple and identity else None
    # Compared, not looked up: the hash of a tuple whose parts are shared takes forever.
    proper = type(kind) in {str, bytes} and kind in {"storage", b"storage"}
    if not proper or len(identity) != m.storage_fields:
        m.forbid("a persistent reference that is no storage", acts=False)
        m.stack.append(Made(None, ()))
        return
    view = len(identity) > 5 and identity[5] is not None  # noqa: PLR2004 - as torch wrote it once
    storage = None if view else _storage(*identity[1:5])
    known = storage and m.report.storages.setdefault(storage.key, storage)
    if storage is None or known != storage:
        m.refuse("a storage that is described in a way that torch never writes, or in two ways")
        storage = None
    m.stack.append(storage or Made(None, ()))


def _storage(kind: Any, key: Any, location: Any, numel: Any) -> Storage | None:
    dtype = STORAGE_DTYPES.get(str(kind)) if isinstance(kind, Global) else None
    proper = type(key) in {str, int} and type(location) in {str, bytes}
    if dtype is None or type(numel) is not int or not 0 <= numel < _MAX_ELEMENTS or not proper:
        return None
    place = location if isinstance(location, str) else location.decode("ascii", "replace")
    return Storage(key=str(key)[:_MAX_NAME], dtype=dtype, numel=numel, location=place[:_MAX_NAME])


def _named_persistent(m: Machine) -> None:
    m.line()
    m.forbid("a persistent reference that is no storage", acts=False)
    m.stack.append(Made(None, ()))


_BY_NAME: dict[str, Callable[[Machine], None]] = {
    "INT": _decimal, "LONG": _decimal, "FLOAT": _decimal_float, "BINFLOAT": _float,
    "BININT": _number(4, signed=True), "BININT1": _number(1), "BININT2": _number(2),
    "LONG1": _long(1), "LONG4": _long(4),
    "STRING": _quoted, "UNICODE": _escaped,
    "BINSTRING": _byte_string(4, text=True), "SHORT_BINSTRING": _byte_string(1, text=True),
    "BINBYTES": _byte_string(4), "SHORT_BINBYTES": _byte_string(1), "BINBYTES8": _byte_string(8),
    "BYTEARRAY8": _byte_string(8), "NEXT_BUFFER": _buffer, "READONLY_BUFFER": _ignore(0),
    "SHORT_BINUNICODE": _text(1), "BINUNICODE": _text(4), "BINUNICODE8": _text(8),
    "NONE": _pushes(lambda: None), "NEWTRUE": _pushes(lambda: True),
    "NEWFALSE": _pushes(lambda: False),
    "EMPTY_DICT": _pushes(dict), "EMPTY_LIST": _pushes(list), "EMPTY_TUPLE": _pushes(tuple),
    "EMPTY_SET": _pushes(lambda: Made(Global("builtins.set"), ())),
    "TUPLE": lambda m: m.stack.append(tuple(m.pop_to_mark())),
    "TUPLE1": _tuple(1), "TUPLE2": _tuple(2), "TUPLE3": _tuple(3),
    "LIST": lambda m: m.stack.append(m.pop_to_mark()), "DICT": _dict, "FROZENSET": _frozen,
    "APPEND": lambda m: _extend(m, [m.pop()]), "APPENDS": lambda m: _extend(m, m.pop_to_mark()),
    "SETITEM": _set_item, "SETITEMS": lambda m: _set_items(m, m.pop_to_mark()),
    "ADDITEMS": _add_items,
    "MARK": lambda m: m.stack.append(MARK), "POP": _pop,
    "POP_MARK": _pop_mark, "DUP": lambda m: m.stack.append(m.top()),
    "PUT": lambda m: _put(m, int(m.line())), "BINPUT": lambda m: _put(m, m.unsigned(1)),
    "LONG_BINPUT": lambda m: _put(m, m.unsigned(4)), "MEMOIZE": lambda m: _put(m, len(m.memo)),
    "GET": lambda m: m.stack.append(m.memo[int(m.line())]),
    "BINGET": lambda m: m.stack.append(m.memo[m.unsigned(1)]),
    "LONG_BINGET": lambda m: m.stack.append(m.memo[m.unsigned(4)]),
    "PROTO": _ignore(1), "FRAME": _ignore(8), "STOP": _stop,
    "GLOBAL": _global, "STACK_GLOBAL": _stack_global, "EXT1": _extension(1),
    "EXT2": _extension(2), "EXT4": _extension(4),
    "REDUCE": _reduce, "NEWOBJ": _new, "NEWOBJ_EX": _new_with_keywords, "INST": _instance,
    "OBJ": _object, "BUILD": _build, "PERSID": _named_persistent, "BINPERSID": _persistent,
}  # fmt: skip


# By the byte: the opcode's name, what it does, and whether torch knows it.
ACTIONS = {
    getattr(pickle, name): (name, action, name in TORCH_OPCODES)
    for name, action in _BY_NAME.items()
}
