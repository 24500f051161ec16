"""Small archives that ask for much time or memory when somebody looks at what they hold."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from memory_archive import HANDLER, MANIFEST, MODEL, files, manifest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COSTLY"]

_LONG = 100_000


def weights(data: bytes, name: str = "weights.pt") -> dict[str, bytes]:
    """A sound archive with these weights, which the base handler loads."""
    told = manifest(handler="base_handler", serializedFile=name, modelFile="net.py")
    return {MANIFEST: told, "net.py": MODEL, name: data}


def requirements(text: str) -> dict[str, bytes]:
    return files({"r.txt": text.encode()}, requirementsFile="r.txt")


def config(text: str) -> dict[str, bytes]:
    return files({"c.yaml": text.encode()}, configFile="c.yaml")


def handler(source: str) -> dict[str, bytes]:
    return files({"handler.py": source.encode()})


def torch_zip(data: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    """A file of ``torch.save`` with that pickle."""
    out = io.BytesIO()
    records = {"m/data.pkl": data, "m/byteorder": b"little", "m/version": b"3\n"}
    with zipfile.ZipFile(out, "w") as packed:
        for name, content in {**records, **(storages or {})}.items():
            packed.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def safetensors(shape: list[int]) -> bytes:
    told = {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}
    head = json.dumps(told).encode()
    return struct.pack("<Q", len(head)) + head + bytes(4)


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def onnx(graph: bytes) -> bytes:
    return b"\x08\x08" + field(2, b"pytorch") + field(7, graph) + field(8, b"\x0a\x00\x10\x11")


def onnx_shape() -> bytes:
    dimension = field(1, b"\x08\x01")
    shape = field(2, dimension * _LONG)
    tensor = b"\x08\x01" + shape
    value = field(1, b"x") + field(2, field(1, tensor))
    initializer = b"\x08\x01" * _LONG + b"\x10\x01" + field(8, b"w") + field(9, bytes(4))
    return onnx(field(11, value) + field(5, initializer))


def torch_shape() -> bytes:
    """A tensor whose shape has 400,000 numbers."""
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    storage += b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00("
    tensor += (
        b"K\x01" * 400_000 + b"t(" + b"K\x01" * 400_000 + b"t\x89ccollections\nOrderedDict\n)RtR"
    )
    return torch_zip(b"\x80\x02}X\x01\x00\x00\x00w" + tensor + b"s.", {"m/data/0": bytes(4)})


def doubled_tuple(levels: int = 200) -> bytes:
    """A tuple that holds itself twice on each level, as the maker of an object that is built."""
    doubled = b")" + b"".join(b"q%cq%ch%c\x86" % (i % 250, 255, i % 250) for i in range(levels))
    return b"\x80\x02" + doubled + b")R}b."


def nones() -> bytes:
    """1.9 million Nones under long keys."""
    key = b"X" + struct.pack("<I", 400)
    body = b"".join(key + b"%0400d" % i + b"N" for i in range(1000))
    return torch_zip(b"\x80\x02}(" + body * 1900 + b"u.")


def many_records(count: int = 400_000) -> bytes:
    """A zip of so many empty records, written by hand: zipfile takes long."""
    body, directory = bytearray(), bytearray()
    for number in range(count):
        name = b"m/%d" % number
        common = struct.pack("<5H3L2H", 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0)
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common
        directory += struct.pack("<3H2L", 0, 0, 0, 0, len(body)) + name
        body += b"PK\x03\x04" + common + name
    end64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), len(body)
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(body) + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(directory), len(body), 0)
    return bytes(body + directory) + end64 + locator + end


def many_pickles() -> dict[str, bytes]:
    """60 files that each take as long as one may."""
    big = pickle.dumps({f"key {number}": [number] * 3 for number in range(120_000)})
    return files({f"extra/{number}.pkl": big for number in range(60)})


def exported() -> bytes:
    """A ``.pt2`` whose JSON is an expression that doubles on each level."""
    expression = "x"
    for _ in range(300):
        expression = f"({expression[:50]}+{expression[-50:]})*2**2**2**9"
    model = {"graph_module": {"graph": {"tensor_values": {"x": {"sizes": [
        {"as_expr": {"expr_str": expression * 3, "hint": {"as_int": 1}}}] * 20}}}}}  # fmt: skip
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr(zipfile.ZipInfo("m/archive_format"), "pt2")
        packed.writestr(zipfile.ZipInfo("m/models/model.json"), json.dumps(model))
    return out.getvalue()


def pickled_after(count: int) -> bytes:
    return pickle.dumps(None) * count


COSTLY: dict[str, Callable[[], dict[str, bytes]]] = {
    "a script block of a long key": lambda: files(
        {"handler.py": HANDLER + b"# /// script\n# " + b"a." * 32_000 + b"a=1\n# ///\n"}),
    "a lock of long keys": lambda: files({"pylock.toml": b"".join(
        b"k%d%s=1\n" % (number, b".a" * 4_000) for number in range(500))}),
    "a script block that is opened 70,000 times": lambda: files(
        {"handler.py": HANDLER + b"# /// script\n" * 70_000}),
    "a manifest of a string without an end": lambda: {
        **files(), MANIFEST: b'{"model": "' + b'\\"' * 500_000},
    "200,000 spaces in a requirement": lambda: requirements("a" + " " * 200_000 + "==1\n"),
    "spaces and hyphens in a requirement": lambda: requirements("a" + " -" * 100_000 + "\n"),
    "a marker in brackets in brackets": lambda: requirements(
        f"a; {'(' * 3000}os_name == 'x'{')' * 3000}\n"),
    "a long marker": lambda: requirements("a; " + " or ".join(["os_name == 'x'"] * 30_000)),
    "10,000 requirements": lambda: requirements("numpy>=1,<2; os_name == 'x'\n" * 9_999),
    "a requirement continued 9,000 times": lambda: requirements("\\\n" * 9_000 + "a"),
    "a YAML of 24,000 keys": lambda: config("".join(f"k{n}: 1\n" for n in range(24_000))),
    "a YAML of one deep list": lambda: config("[" * 60_000),
    "a YAML of dashes": lambda: config("- " * 500_000),
    "a YAML of aliases": lambda: config("a: &a [1]\n" + "".join(
        f"k{n}: [{', '.join(['*a'] * 9)}]\n" for n in range(5_000))),
    "a YAML of a long text": lambda: config("a: " + "b " * 500_000),
    "a YAML of quotes": lambda: config("a: '" + "''" * 500_000 + "'"),
    "a safetensors shape of 100,000 ones": lambda: weights(
        safetensors([1] * _LONG), "w.safetensors"),
    "a safetensors shape of large numbers": lambda: weights(
        safetensors([1 << 62] * _LONG), "w.safetensors"),
    "a safetensors header of nesting": lambda: weights(
        struct.pack("<Q", 2_000_000) + b'{"a":' + b"[" * 1_999_995, "w.safetensors"),
    "an ONNX shape of 100,000 ones": lambda: weights(onnx_shape(), "w.onnx"),
    "100 million unknown fields in an ONNX graph": lambda: weights(
        onnx(b"\x78\x01" * 100_000_000), "w.onnx"),
    "a torch shape of 400,000 numbers": lambda: weights(torch_shape()),
    "20,000 classes each derived from the next": lambda: handler("".join(
        f"class C{n}(C{n + 1}): pass\n" for n in range(20_000))),
    "1.9 million Nones under long keys": lambda: weights(nones()),
    "an inner zip of 400,000 records": lambda: weights(many_records()),
    "an npz of 400,000 records": lambda: weights(many_records().replace(b"m/", b"n/"), "w.npz"),
    "60 pickles": many_pickles,
    "a doubled tuple": lambda: weights(torch_zip(doubled_tuple())),
    "a doubled tuple in a pickle": lambda: files({"x.pkl": doubled_tuple()}),
    "an exported program": lambda: weights(exported(), "w.pt2"),
    "9,000 long names": lambda: files({f"{n:05}/{'n' * 240}/{'é' * 120}/{'x' * 250}": b""
                                       for n in range(9_000)}),
    "9,000 small modules": lambda: files({f"m{n}.py": b"x = 1\n" for n in range(9_000)}),
    "a sum of 100,000": lambda: handler("x = " + "+".join(["1"] * 100_000)),
    "a chain of 60,000 attributes": lambda: handler("x = a" + ".b" * 60_000),
    "a number of 4 MB": lambda: handler("x = " + "9" * 4_000_000),
    "200,000 names": lambda: handler("".join(f"n{n} = 1\n" for n in range(66_000))),
    "calls in calls": lambda: handler("x = " + "f(" * 20_000),
    "methods that call super": lambda: handler("class C:\n" + "".join(
        f" def m{n}(self): super().m{n + 1}()\n" for n in range(9_000))),
    "a manifest of many keys": lambda: {"handler.py": HANDLER, MANIFEST: json.dumps({
        **json.loads(manifest()), **{f"k{n}": n for n in range(40_000)}}).encode()},
    "a manifest of backslashes": lambda: {"handler.py": HANDLER, MANIFEST: (
        b'{"a": "' + b"\\\\" * 500_000)},
    "zeros": lambda: files({"zeros.bin": bytes(250 << 20)}),
    "a gzip of zeros": lambda: files({"x.joblib": zlib.compress(bytes(200 << 20), 9)}),
    "many pickles in one": lambda: files({"x.pkl": pickled_after(1_000_000)}),
}  # fmt: skip
