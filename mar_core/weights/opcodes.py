"""What each opcode of a pickle does to the machine's stack of stand-ins."""

from __future__ import annotations

import _compat_pickle
from typing import TYPE_CHECKING, Any

from mar_core.weights.allowed import STORAGE_DTYPES
from mar_core.weights.machine import PickleError
from mar_core.weights.symbols import Global, Made, OrderedMap, Storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.weights.machine import Machine

__all__ = ["TORCH_OPCODES", "follow"]

_MAX_KEY_PARTS = 1000
_MAPS = {"collections.OrderedDict", "collections.Counter"}
_STORAGE_FIELDS = (5, 6)  # in a zip; in the legacy format
# Their results carry no attributes that BUILD could set.
_NOT_BUILDABLE = {"_codecs.encode", "torch.serialization._get_layout"}
_SCALARS = (str, bytes, int, float, bool, type(None))

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


def follow(machine: Machine, opcode: str, argument: Any) -> None:
    """Follow one opcode.

    Args:
        machine: The stack that it works on.
        opcode: Its name in ``pickletools``; one that is not in the table pushes its argument.
        argument: Its argument, decoded.

    Raises:
        PickleError: It cannot be followed.
    """
    if opcode not in TORCH_OPCODES:
        machine.unknown(opcode)
    action = _ACTIONS.get(opcode)
    try:
        if action is None:
            machine.push(argument)
        else:
            action(machine, argument)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise PickleError(f"its opcode {opcode} finds nothing that it could work on") from error


def _pushes(make: Callable[[], Any]) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine.push(make())


def _ignore(machine: Machine, argument: Any) -> None:
    """Protocol and frames have no effect on the stack."""


def _stop(machine: Machine, _: Any) -> None:
    machine.result = machine.pop()
    machine.stopped = True


def _discard_to_mark(machine: Machine, _: Any) -> None:
    machine.pop_to_mark()


def _put(machine: Machine, index: Any) -> None:
    machine.memo[int(index)] = machine.top()


def _tuple(machine: Machine, count: int) -> None:
    items = [machine.pop() for _ in range(count)]
    machine.push(tuple(items[::-1]))


def _dict(machine: Machine, _: Any) -> None:
    items = machine.pop_to_mark()
    machine.push({})
    _set_items(machine, items)


def _extend(machine: Machine, items: list[Any]) -> None:
    target = machine.top()
    if isinstance(target, Made):
        machine.forbid(f"an addition to what {target.maker} returns")
    elif isinstance(target, list):
        target.extend(items)
    else:
        raise TypeError


def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine, [key, value])


def _set_items(machine: Machine, items: list[Any]) -> None:
    target = machine.top()
    if isinstance(target, Made):
        machine.forbid(f"an item set on what {target.maker} returns")
    elif isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_checked_key(key)] = value
    else:
        raise TypeError


def _add_items(machine: Machine, _: Any) -> None:
    machine.pop_to_mark()
    if not isinstance(machine.top(), Made):
        raise TypeError


def _checked_key(key: Any) -> Any:
    """A key whose hash costs little: nested tuples that share parts take forever to hash."""
    parts, todo = 0, [key]
    while todo:
        part = todo.pop()
        parts += 1
        if parts > _MAX_KEY_PARTS or not isinstance(part, (*_SCALARS, Global, tuple)):
            raise TypeError
        if isinstance(part, tuple):
            todo.extend(part)
    return key


def _global(machine: Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    _import(machine, module, name)


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise TypeError
    _import(machine, module, name)


def _import(machine: Machine, module: str, name: str) -> None:
    module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
    full = f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}"
    if not machine.allows(full):
        machine.forbid(full)
    machine.push(Global(full))


def _extension(machine: Machine, number: int) -> None:
    machine.forbid(f"number {number} of the extension registry")
    machine.push(Global("copyreg.extension"))


def _reduce(machine: Machine, _: Any) -> None:
    args = machine.pop()
    _call(machine, machine.pop(), args)


def _instance(machine: Machine, argument: str) -> None:
    args = tuple(machine.pop_to_mark())
    _global(machine, argument)
    _call(machine, machine.pop(), args)


def _object(machine: Machine, _: Any) -> None:
    maker, *args = machine.pop_to_mark()
    _call(machine, maker, tuple(args))


def _new_with_keywords(machine: Machine, _: Any) -> None:
    keywords, args, maker = machine.pop(), machine.pop(), machine.pop()
    _call(machine, maker, (*args, keywords))


def _call(machine: Machine, maker: Any, args: Any) -> None:
    if not isinstance(args, tuple):
        raise TypeError
    if not isinstance(maker, Global):
        machine.forbid("a call of something computed")
    elif maker.name in _MAPS:
        machine.push(_new_map(args))
        return
    machine.push(Made(maker, args))


def _new_map(args: tuple[Any, ...]) -> OrderedMap:
    """``OrderedDict()``, or with its items as Python 2 wrote them."""
    made = OrderedMap()
    items = args[0] if args else ()
    for key, value in items.items() if isinstance(items, dict) else items:
        made[_checked_key(key)] = value
    return made


def _build(machine: Machine, _: Any) -> None:
    state, target = machine.pop(), machine.top()
    fixed = isinstance(target, Made) and str(target.maker) in _NOT_BUILDABLE
    if fixed or not isinstance(target, (Made, OrderedMap)):
        raise TypeError
    target.state = state


def _persistent(machine: Machine, _: Any) -> None:
    identity = machine.pop()
    kind = _text(identity[0]) if isinstance(identity, tuple) and identity else None
    if kind == "storage" and len(identity) in _STORAGE_FIELDS:
        machine.push(_storage(machine, *identity[1:5]))
        return
    machine.forbid("a persistent reference that is no storage")
    machine.push(identity[1] if kind == "module" else Made(None, ()))


def _storage(machine: Machine, kind: Any, key: Any, location: Any, numel: Any) -> Storage:
    dtype = STORAGE_DTYPES.get(str(kind)) if isinstance(kind, Global) else None
    if dtype is None or not isinstance(numel, int) or numel < 0:
        raise TypeError
    storage = Storage(key=_text(key), dtype=dtype, numel=numel, location=_text(location))
    known = machine.storages.setdefault(storage.key, storage)
    if known.numel and known != storage:
        raise PickleError(f"it describes the storage {storage.key!r} twice, differently")
    return storage


def _named_persistent(machine: Machine, _: Any) -> None:
    machine.forbid("a persistent reference that is no storage")
    machine.push(Made(None, ()))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii")
    if not isinstance(value, (str, int)):
        raise TypeError
    return str(value)


_ACTIONS: dict[str, Callable[[Machine, Any], None]] = {
    "PROTO": _ignore,
    "FRAME": _ignore,
    "STOP": _stop,
    "POP": lambda machine, _: machine.drop(),
    "POP_MARK": _discard_to_mark,
    "DUP": lambda machine, _: machine.push(machine.top()),
    "MARK": lambda machine, _: machine.push_mark(),
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": lambda machine, _: _put(machine, len(machine.memo)),
    "GET": lambda machine, index: machine.push(machine.memo[int(index)]),
    "BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "NONE": _pushes(lambda: None),
    "NEWTRUE": _pushes(lambda: True),
    "NEWFALSE": _pushes(lambda: False),
    "EMPTY_DICT": _pushes(dict),
    "EMPTY_LIST": _pushes(list),
    "EMPTY_TUPLE": _pushes(tuple),
    "EMPTY_SET": _pushes(lambda: Made(Global("builtins.set"), ())),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: _tuple(machine, 1),
    "TUPLE2": lambda machine, _: _tuple(machine, 2),
    "TUPLE3": lambda machine, _: _tuple(machine, 3),
    "LIST": lambda machine, _: machine.push(machine.pop_to_mark()),
    "DICT": _dict,
    "FROZENSET": lambda machine, _: machine.push(
        Made(Global("builtins.frozenset"), (machine.pop_to_mark(),))
    ),
    "APPEND": lambda machine, _: _extend(machine, [machine.pop()]),
    "APPENDS": lambda machine, _: _extend(machine, machine.pop_to_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: _set_items(machine, machine.pop_to_mark()),
    "ADDITEMS": _add_items,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "EXT1": _extension,
    "EXT2": _extension,
    "EXT4": _extension,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_keywords,
    "INST": _instance,
    "OBJ": _object,
    "BUILD": _build,
    "PERSID": _named_persistent,
    "BINPERSID": _persistent,
}
