"""Pickles that leave a mark when they are loaded: each would create the file it is given.

Put together opcode by opcode, because Python's own pickler would not write most of them.
"""

from __future__ import annotations

import contextlib
import io
import marshal
import pickle
import struct
from typing import TYPE_CHECKING, Any

import weightsfiles

if TYPE_CHECKING:
    from collections.abc import Callable


class Call:
    """A call to be pickled: ``module.name(*args)``; the module may be a call too."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function = function
        self.args = args


class Ref:
    """A global to be pickled."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name


def assemble(value: Any, *, stack_global: bool = False) -> bytes:  # noqa: PLR0911 - one a type
    """The opcodes that make a value, without the opening and the end."""
    if isinstance(value, Ref) and stack_global:
        return assemble(value.module) + assemble(value.name) + b"\x93"
    if isinstance(value, Ref):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        args = b"".join(assemble(arg, stack_global=stack_global) for arg in value.args)
        return assemble(value.function, stack_global=stack_global) + b"(" + args + b"tR"
    if isinstance(value, str):
        raw = value.encode()
        return b"X" + struct.pack("<I", len(raw)) + raw
    if isinstance(value, bytes):
        return b"B" + struct.pack("<I", len(value)) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, (list, tuple)):
        items = b"".join(assemble(item, stack_global=stack_global) for item in value)
        return b"(" + items + (b"l" if isinstance(value, list) else b"t")
    assert value in ({}, None)
    return b"N" if value is None else b"}"


def load(module: str, name: str, *args: Any) -> Call:
    return Call(Ref(module, name), *args)


def calls(mark: str) -> dict[str, Call]:
    """Ways to run code or to touch a file, one import each or several."""
    touch, python = f"touch {mark}", f"open({mark!r}, 'w').close()"
    code = marshal.dumps(compile(python, "x", "exec"))
    path = load("pathlib", "Path", mark)
    nested = b"\x80\x02" + assemble(load("os", "system", touch)) + b"."
    return {
        "os.system": load("os", "system", touch),
        "posix.system": load("posix", "system", touch),
        "py2 alias": load("__builtin__", "eval", python),
        "commands": load("commands", "getoutput", touch),
        "subprocess.call": load("subprocess", "call", ["touch", mark]),
        "subprocess.check_output": load("subprocess", "check_output", ["touch", mark]),
        "subprocess.run": load("subprocess", "run", ["touch", mark]),
        "subprocess.getoutput": load("subprocess", "getoutput", touch),
        "eval": load("builtins", "eval", python),
        "exec": load("builtins", "exec", python),
        "compiled": load("builtins", "exec", load("builtins", "compile", python, "x", "exec")),
        "open": load("builtins", "open", mark, "w"),
        "io.open": load("io", "open", mark, "w"),
        "_io.FileIO": load("_io", "FileIO", mark, "w"),
        "codecs.open": load("codecs", "open", mark, "w"),
        "os.mkdir": load("os", "mkdir", mark),
        "os.symlink": load("os", "symlink", "/", mark),
        "getattr": Call(load("builtins", "getattr", load("importlib", "import_module", "os"),
                             "system"), touch),
        "__import__": Call(load("builtins", "getattr", load("builtins", "__import__", "os"),
                                "system"), touch),
        "pkgutil": Call(load("pkgutil", "resolve_name", "os:system"), touch),
        "attrgetter": Call(Call(load("operator", "attrgetter", "system"),
                                load("importlib", "import_module", "os")), touch),
        "methodcaller": Call(load("operator", "methodcaller", "touch"), path),
        "partial": Call(load("functools", "partial", Ref("os", "system"), touch)),
        "map": load("builtins", "list", load("builtins", "map", Ref("os", "system"), [touch])),
        "starmap": load("builtins", "list",
                        load("itertools", "starmap", Ref("os", "system"), [(touch,)])),
        "timeit": load("timeit", "timeit", python, "pass", Ref("time", "time"), 1),
        "profile": load("builtins", "exec", python, {}),
        "interpreter": Call(load("operator", "methodcaller", "runsource", python),
                            load("code", "InteractiveInterpreter")),
        "debugger": Call(load("operator", "methodcaller", "run", python), load("bdb", "Bdb")),
        "function": Call(load("types", "FunctionType", load("marshal", "loads", code), {})),
        "pickle.loads": load("pickle", "loads", nested),
        "_pickle.loads": load("_pickle", "loads", nested),
        "logging": load("logging", "FileHandler", mark),
        "zipfile": load("zipfile", "ZipFile", mark, "w"),
        "sqlite3": Call(load("operator", "methodcaller", "execute", "create table t (x)"),
                        load("sqlite3", "connect", mark)),
        "gzip": load("gzip", "open", mark, "wb"),
        "shutil": load("shutil", "copyfile", "/dev/null", mark),
        "numpy": load("numpy", "savetxt", mark, [1]),
        "torch.save": load("torch", "save", 1, mark),
        "torch mapped": load("torch", "from_file", mark, Ref("builtins", "True"), 4),
        "torch legacy": load("torch.serialization", "_legacy_load",
                             load("io", "BytesIO", legacy_with(nested)), None,
                             load("importlib", "import_module", "pickle")),
        "numpy, later": Call(load("functools", "partial", Ref("numpy", "savetxt"), mark), [1]),
        "pandas-like reader": load("builtins", "list", load("builtins", "filter",
                                   Ref("os", "system"), [touch])),
    }  # fmt: skip


def pickled(call: Call, *, protocol: int = 2) -> bytes:
    """One pickle that makes a call."""
    return b"\x80" + bytes([protocol]) + assemble(call, stack_global=protocol >= 4) + b"."


def shapes(mark: str) -> dict[str, bytes]:
    """One call, written in every way that the opcodes allow."""
    call = load("os", "system", f"touch {mark}")
    body = assemble(call)
    text = assemble(f"touch {mark}")
    return {
        "protocol 0": f"cos\nsystem\n(S'touch {mark}'\ntR.".encode(),
        "protocol 2": pickled(call),
        "protocol 3": pickled(call, protocol=3),
        "protocol 4": pickled(call, protocol=4),
        "protocol 5": pickled(call, protocol=5),
        "no protocol": body + b".",
        "INST": b"(" + text + b"ios\nsystem\n.",
        "OBJ": b"(cos\nsystem\n" + text + b"o.",
        "names from the memo": b"\x80\x04" + assemble("os") + b"\x94" + assemble("system")
        + b"\x940h\x00h\x01\x93(" + text + b"tR.",
        "then garbage": b"\x80\x02" + body + b"0\xff\xff\xff",
        "then cut": b"\x80\x02" + body,
        "then a sound one": b"\x80\x02" + body + b"0}.",
        "among data": b"\x80\x02}(" + assemble("weight") + body + b"u.",
        "as a key": b"\x80\x02}(" + body + assemble(1) + b"u.",
        "thrown away": b"\x80\x02" + body + b"0N.",
        "behind a mark": b"\x80\x02(" + body + b"1}.",
    }  # fmt: skip


def legacy_with(payload: bytes) -> bytes:
    """A legacy torch file whose third pickle, the system's description, is the payload."""
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    rest = pickle.dumps({}, 2) + pickle.dumps([], 2)
    return magic + payload + rest


def inside_torch_zip(payload: bytes) -> bytes:
    """A state dict's zip with the payload in place of its pickle."""
    return weightsfiles.with_record(weightsfiles.state_dict(), "data.pkl", payload)


def fires(data: bytes, mark: Any, loads: Callable[[Any], Any] = pickle.load) -> bool:
    """Whether loading the data as nobody should leaves the mark; takes the mark away again."""
    with contextlib.suppress(Exception):  # many raise after they have done their worst
        result = loads(io.BytesIO(data))
        if hasattr(result, "close"):
            result.close()
    fired = mark.exists() or mark.is_symlink()
    if mark.is_dir() and not mark.is_symlink():
        mark.rmdir()
    elif fired:
        mark.unlink()
    return fired
