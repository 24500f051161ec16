"""Changes sound archives at random, looks at each, and says what went wrong while looking.

What may happen: findings, and a ``MarError``. What may not: another exception, a plugin that fails,
more processor time than the budget and a little, more memory than a gigabyte. As a script,
``python fuzz.py SECONDS [SEED]``, it goes on for that long and keeps what went wrong in
``fuzz-failures`` in the current folder.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import pickle
import random
import resource
import signal
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import weightsfiles
from memory_archive import HANDLER, MANIFEST, MODEL, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FORMATS", "SEEDS", "changed", "limited", "mutant", "problem", "seeds", "write"]

FORMATS = ("default", "zip-store", "tgz", "no-archive")
SLOW = 3 * 2.0  # the budget is two seconds; a clock that is asked seldom and machines that differ
MOST = 1 << 30
NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFF,
    1 << 62,
    (1 << 64) - 1,
)
# What parsers of these formats react to: marks, brackets, opcodes, anchors, options, magic.
TOKENS = (
    b"[", b"]", b"{", b"}", b"(", b")", b'"', b"'", b"\\", b"\n", b"\0", b",", b":", b"- ", b"&a ",
    b"*a", b"<<: *a", b"!!python/object:os.system ", b"---\n", b"%YAML 1.1\n", b"|", b">", b"#",
    b"1e999", b"-1", b"9" * 400, b"NaN", b"true", b"null", b"\xef\xbb\xbf", b"\xff", b"\x80\x04",
    b".", b"R", b"b", b"c__builtin__\neval\n", b"cos\nsystem\n", b"t", b"e", b"u", b"s", b"q\x00",
    b"h\x00", b"\x93", b"\x8c\x02os", b"\x95" + bytes(8), b"K\x00", b"\x8a\xff", b"\x85", b"\x86",
    b"\x87", b"l", b"d", b"0", b"2", b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"\x93NUMPY",
    b"-r x", b"--index-url x", b" @ file:///", b"; ", b"class A(A):\n", b"def f(", b"lambda: ",
    b'"shape": ', b'"data_offsets": ', b'"dtype": "F64"', b"'descr': '|O'", b"\x08\xff\xff\xff\x0f",
)  # fmt: skip


@functools.cache
def seeds() -> dict[str, dict[str, bytes]]:
    """The files of a sound archive of each kind of content, by name."""
    npz = io.BytesIO()
    np.savez(npz, a=np.ones((2, 3)), b=np.arange(4))
    weights = {
        "state.pt": weightsfiles.state_dict(),
        "legacy.pt": weightsfiles.legacy(),
        "module.pt": weightsfiles.whole_module(),
        "script.pt": weightsfiles.torchscript(),
        "w.safetensors": weightsfiles.safetensors_file(),
        "w.onnx": weightsfiles.onnx_file(),
        "w.npz": npz.getvalue(),
        "w.pkl": pickle.dumps({"a": [1, 2.5, "x", None, {"b": (1,)}]}),
    }
    seeds = {}
    for name, data in weights.items():
        told = manifest(handler="base_handler", serializedFile=name, modelFile="net.py")
        seeds[name] = {MANIFEST: told, "net.py": MODEL, name: data}
    texts = {
        "r.txt": b"numpy>=1.26\n# why\ntorch[x]==2; python_version > '3' --hash=sha256:00\n-r b\n",
        "c.yaml": b"batchSize: 4\nhandler: &a\n  x: [1, 2]\n  y: {z: 1}\nb: *a\nd: |\n  text\n",
        "index_to_name.json": json.dumps({str(n): [f"n{n}", n] for n in range(9)}).encode(),
        "helper.py": b"import os\nclass A:\n    def f(self): return super().f()\nclass B(A): ...\n",
    }
    told = manifest(requirementsFile="r.txt", configFile="c.yaml")
    seeds["texts"] = {MANIFEST: told, "handler.py": HANDLER, **texts}
    return seeds


SEEDS = ("state.pt", "legacy.pt", "module.pt", "script.pt", "w.safetensors", "w.onnx", "w.npz",
         "w.pkl", "texts")  # fmt: skip


def mutant(rng: random.Random, seed: str) -> dict[str, bytes]:
    """The files of that seed, one of them changed once or a few times."""
    files = dict(seeds()[seed])
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        name = rng.choice(list(files))
        files[name] = changed(rng, files[name])
    if rng.random() < 0.05:
        files[rng.choice(["handler/__init__.py", "torch.py", "x.pkl", "a/b.zip"])] = files[name]
    return files


def changed(rng: random.Random, data: bytes) -> bytes:
    """Those bytes with one change."""
    if data[:4] == b"PK\x03\x04" and rng.random() < 0.6:
        with contextlib.suppress(Exception):  # it is no zip any more
            return _changed_records(rng, data)
    if data[8:9] == b"{" and rng.random() < 0.6:
        return _changed_header(rng, data)
    return rng.choice(CHANGES)(rng, data)


def _changed_records(rng: random.Random, data: bytes) -> bytes:
    """A zip of which one record is changed, and its checksum is true."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        records = {name: packed.read(name) for name in packed.namelist()}
    name = rng.choice(list(records))
    how = rng.random()
    if how < 0.8:
        records[name] = rng.choice(CHANGES)(rng, records[name])
    elif how < 0.9:
        records[rng.choice([name.upper(), name + "x", "../x", name.replace("data", "d")])] = b"x"
    else:
        del records[name]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for entry, content in records.items():
            packed.writestr(zipfile.ZipInfo(entry), content)
    return out.getvalue()


def _changed_header(rng: random.Random, data: bytes) -> bytes:
    """Safetensors whose header is changed, and its length is true."""
    (length,) = struct.unpack_from("<Q", data)
    header = rng.choice(CHANGES)(rng, data[8 : 8 + length])
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _flip(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data)) if data else 0
    return data[:place] + bytes([(data[place] if data else 0) ^ (1 << rng.randrange(8))]) + (
        data[place + 1 :])  # fmt: skip


def _token(rng: random.Random, data: bytes) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + rng.choice(TOKENS) * rng.choice([1, 1, 1, 2, 50, 3000]) + data[place:]


def _number(rng: random.Random, data: bytes) -> bytes:
    width, place = rng.choice([1, 2, 4, 8]), rng.randint(0, len(data))
    number = rng.choice(NUMBERS) % (1 << 8 * width)
    return (
        data[:place] + number.to_bytes(width, rng.choice(["little", "big"])) + data[place + width :]
    )


def _cut(rng: random.Random, data: bytes) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + data[place + rng.choice([1, 4, 40, 1 << 30]) :]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    place = rng.randint(0, len(data))
    span = data[place : place + rng.choice([1, 3, 20, 300])]
    return data[:place] + span * rng.choice([2, 3, 100, 20_000 // (len(span) + 1)]) + data[place:]


def _swap(rng: random.Random, data: bytes) -> bytes:
    one, other = sorted(rng.randint(0, len(data)) for _ in range(2))
    return data[other:] + data[one:other] + data[:one]


CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _flip, _flip, _token, _token, _token, _number, _number, _cut, _repeat, _repeat, _swap,
)  # fmt: skip


def write(folder: Path, files: dict[str, bytes], archive_format: str) -> Path:
    """The files as an archive of that format; names that a folder cannot hold are left out."""
    if archive_format == "no-archive":
        path = folder / "m"
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path
    if archive_format == "tgz":
        path = folder / "m.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as packed:
            for name, data in files.items():
                info = tarfile.TarInfo(f"m/{name}")
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
        return path
    path = folder / "m.mar"
    method = zipfile.ZIP_STORED if archive_format == "zip-store" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(name), data, method)
    return path


class Hang(BaseException):
    """Looking takes far too long."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Bound this process's memory, and have an alarm ring where looking at one thing hangs."""

    def ring(_number: int, _frame: object) -> None:
        raise Hang

    before, most = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST, most))
    handler = signal.signal(signal.SIGVTALRM, ring)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, (before, most))


def problem(path: Path, plugins: Any) -> str | None:
    """What went wrong while looking at an archive, or None."""
    signal.setitimer(signal.ITIMER_VIRTUAL, 10 * SLOW)
    try:
        return _judged(path, plugins)
    except (Exception, Hang):  # noqa: BLE001 - that is what it looks for
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _judged(path: Path, plugins: Any) -> str | None:
    from mar_core.checks.checking import look_at
    from mar_core.errors import MarError
    from mar_core.reports.inspection import inspect_archive

    began = time.process_time()
    checked = look_at(path, allow_pickle=False, plugins=plugins)
    codes = {one.code for one in checked.findings}
    broken = [str(one) for one in checked.findings if one.code.startswith("MAR-X")]
    if broken:
        return f"a plugin fails: {broken[0]}"
    middle = time.process_time()
    if middle - began > SLOW:
        return f"{middle - began:.1f} seconds ({codes})"
    with contextlib.suppress(MarError):
        inspect_archive(path)
    seconds = time.process_time() - middle
    return f"{seconds:.1f} seconds to inspect" if seconds > SLOW else None


def main() -> None:
    from mar_core.plugins import get_plugins

    end = time.monotonic() + float(sys.argv[1])
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns())
    plugins, kept, count, seen = get_plugins(), Path("fuzz-failures"), 0, set[str]()
    seeds()
    with limited():
        while time.monotonic() < end:
            seed, archive_format = rng.choice(SEEDS), rng.choice(FORMATS)
            files = mutant(rng, seed)
            with tempfile.TemporaryDirectory() as scratch:
                try:
                    path = write(Path(scratch), files, archive_format)
                except OSError:
                    continue
                found = problem(path, plugins)
            count += 1
            place = " ".join((found or "").splitlines()[-3:])[:200]
            if found and place not in seen:
                seen.add(place)
                kept.mkdir(exist_ok=True)
                (kept / f"{count}.pickle").write_bytes(pickle.dumps((files, archive_format)))
                print(f"--- {count}: {seed} as {archive_format}\n{found}", flush=True)
    print(f"{count} archives, {len(seen)} things went wrong", flush=True)


if __name__ == "__main__":
    main()
