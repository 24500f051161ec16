"""Names that must be refused, archives that are too much, and files that are no archives."""

from __future__ import annotations

import functools
import io
import tarfile
import zlib
from dataclasses import replace

from craft import HANDLER, Piece, TarPiece, gz, pieces, tar_bytes, tar_pieces, tgz_bytes, zip_bytes
from zipfaults import Fault, sound

__all__ = ["BAD_NAMES", "FAULTS", "GOOD_NAMES", "PAIRS", "WARNED_NAMES"]

BAD_NAMES = {
    # leads outside
    "../handler.py": "MAR-N001",
    "a/../../b.py": "MAR-N001",
    "a/..": "MAR-N001",
    "..": "MAR-N001",
    "..\\b.py": "MAR-N001",
    "a\\..\\..\\b.py": "MAR-N001",
    "/etc/passwd": "MAR-N001",
    "//server/share/x": "MAR-N001",
    "\\\\server\\share\\x": "MAR-N001",
    "C:/x": "MAR-N001",
    "c:x": "MAR-N001",
    "C:\\Windows\\x": "MAR-N001",
    # not in the shortest form
    "./b.py": "MAR-N002",
    "a/./b.py": "MAR-N002",
    "a//b.py": "MAR-N002",
    ".": "MAR-N002",
    # backslash and colon
    "a\\b.py": "MAR-N003",
    "b.py:stream": "MAR-N003",
    "a/b:c": "MAR-N003",
    # control and direction
    "a\x00.py": "MAR-N004",
    "a\n.py": "MAR-N004",
    "a\x1b[31m.py": "MAR-N004",
    "a\x7f.py": "MAR-N004",
    "a\x85.py": "MAR-N004",
    "a\u202egnp.py": "MAR-N004",
    "a\u2066b.py": "MAR-N004",
    "a\u200eb.py": "MAR-N004",
    "a\ufeffb.py": "MAR-N004",
    "a\u2028b.py": "MAR-N004",
    # reserved on Windows
    "CON": "MAR-N005",
    "con.py": "MAR-N005",
    "a/aux.py": "MAR-N005",
    "NUL.tar.gz": "MAR-N005",
    "prn ": "MAR-N005",
    "prn .txt": "MAR-N005",
    "com1.txt": "MAR-N005",
    "LPT9": "MAR-N005",
    "COM²": "MAR-N005",
    "conin$": "MAR-N005",
    "a/nul/b": "MAR-N005",
    # dots and spaces at the end
    "a.": "MAR-N006",
    "a ": "MAR-N006",
    "a./b": "MAR-N006",
    "a /b": "MAR-N006",
    "...": "MAR-N006",
    # too long, too deep
    "n" * 256: "MAR-N007",
    "é" * 128: "MAR-N007",
    "a/" * 32 + "b": "MAR-N007",
    "/".join(["n" * 200] * 6): "MAR-N007",
}
WARNED_NAMES = ["what?.txt", "a*b.txt", "a<b>.txt", "a|b.txt", 'a"b.txt']
GOOD_NAMES = [
    "a", "a.py", "a b.py", "a,b.py", "a;b.py", "a'b.py", "a&b.py", "a(1).py", "a[1].py",
    "a{1}.py",
    "a#b.py", "a%20b.py", "a+b=c.py", "a@b.py", "a!b.py", "a~", "~a", "$HOME.txt", "`a`.txt",
    ".hidden", "a..b.py", "..a", "a/.b/c", "-rf", "--help", "console.py", "com10.txt",
    "auxiliary.py", "nullable.py", "lpt.txt", "Δ.py", "模型.py", "модель.py", "نموذج.py",
    "모델.py", "दो.py", "é.py",
    "e\u0301.py", "😀.png", "👩\u200d🔬.png", "n" * 255, "é" * 127, "/".join("a" * 32),
    "MAR-INF/examples/1.json", "sub/handler.py", "index_to_name.json",
]  # fmt: skip
# Two names that some system takes for one.
PAIRS = {
    ("data.txt", "data.txt"): "MAR-N008",
    ("handler.py", "handler.py"): "MAR-N008",
    ("data.txt", "DATA.txt"): "MAR-N009",
    ("handler.py", "Handler.py"): "MAR-N009",
    ("mar-inf/manifest.json", "data.txt"): "MAR-N009",
    ("é.txt", "e\u0301.txt"): "MAR-N009",
    ("straße.txt", "STRASSE.txt"): "MAR-N009",
    ("ﬁ.txt", "FI.txt"): "MAR-N009",
    ("a/b", "A/B"): "MAR-N009",
    ("data", "data/x"): "MAR-N010",
    ("data/x", "DATA"): "MAR-N010",
    ("a/b/c/d", "a/b"): "MAR-N010",
    ("handler.py/x", "data.txt"): "MAR-N010",
}


def _in_zip(*names: str) -> bytes:
    return zip_bytes(pieces(*(Piece(name=name, data=b"1") for name in names)))


def _in_tar(*names: str) -> bytes:
    return tgz_bytes(tar_pieces(*(TarPiece(name=f"m/{name}", data=b"1") for name in names)))


def _names() -> list[Fault]:
    good = functools.partial(_in_zip, "data.txt", "other.txt")
    faults = [
        Fault(
            id=f"zip: name {name[:30]!a} ({len(name)})",
            code=code,
            bad=functools.partial(_in_zip, name),
            good=good,
        )
        for name, code in BAD_NAMES.items()
    ]
    faults += [
        Fault(id=f"zip: names {one!a} and {two!a}", code=code, good=good,
              bad=functools.partial(_in_zip, one, two))
        for (one, two), code in PAIRS.items()
    ]  # fmt: skip
    folder_and_file = lambda: _in_zip("data", "data/")  # noqa: E731
    twice = lambda: zip_bytes(pieces(Piece(name="d/"), Piece(name="d/")))  # noqa: E731
    faults.append(Fault(id="zip: file and folder", code="MAR-N010", bad=folder_and_file, good=good))
    faults.append(Fault(id="zip: folder twice", code="MAR-N008", bad=twice, good=good))
    two_manifests = lambda: zip_bytes([*pieces(), pieces()[-1]])  # noqa: E731
    faults.append(Fault(id="zip: manifest twice", code="MAR-N008", bad=two_manifests, good=good))
    return [*faults, *_names_in_tars()]


def _names_in_tars() -> list[Fault]:
    good = functools.partial(_in_tar, "data.txt", "other.txt")
    # A tar's own fields cannot hold a NUL or a trailing slash's absence; the rest is the same code.
    some = ["a/../../../b.py", "a\\b.py", "a\u202egnp.py", "CON", "a.", "a//b", "n" * 256]
    faults = [
        Fault(id=f"tar: name {name[:30]!a}", code=BAD_NAMES.get(name, "MAR-N001"), suffix=".tar.gz",
              bad=lambda name=name: _long(name), good=good)
        for name in [*some[1:5], some[6]]
    ]  # fmt: skip
    faults += [
        Fault(id=f"tar: names {one!a} and {two!a}", code=code, suffix=".tar.gz", good=good,
              bad=functools.partial(_in_tar, one, two))
        for (one, two), code in PAIRS.items()
    ]  # fmt: skip
    whole = {
        "/m/x": "MAR-N001", "../x": "MAR-N001", "m/../../x": "MAR-N001", "m/a//x": "MAR-N002",
        "m/./x": "MAR-N002", "other/x": "MAR-A206", "x": "MAR-A206", "C:\\m/x": "MAR-A206",
    }  # fmt: skip
    for name, code in whole.items():
        bad = functools.partial(_extended, name)
        faults.append(Fault(id=f"tar: {name!a}", code=code, bad=bad, good=good, suffix=".tar.gz"))
    return faults


def _long(name: str) -> bytes:
    return _extended(f"m/{name}")


def _extended(name: str) -> bytes:
    from craft import pax

    return tgz_bytes(tar_pieces(TarPiece(name="m/x", data=b"1", before=pax({"path": name}))))


MIB = 1 << 20


def zeros(mebibytes: int) -> bytes:
    """Deflated zeros, made in no time."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = deflater.compress(bytes(MIB)) + deflater.flush(zlib.Z_FULL_FLUSH)
    last = deflater.compress(b"") + deflater.flush()
    return first * mebibytes + last


@functools.cache
def zeros_crc(mebibytes: int) -> int:
    crc, block = 0, bytes(MIB)
    for _ in range(mebibytes):
        crc = zlib.crc32(block, crc)
    return crc


def bomb(mebibytes: int, *, told: int | None = None) -> Piece:
    """A member that unpacks to many zeros, and says so or says something else."""
    size = mebibytes * MIB if told is None else told
    fields = {"size": size, "crc": zeros_crc(mebibytes)}
    return Piece(
        name="zeros.bin", packed=zeros(mebibytes), deflate=True, local=fields, central=fields
    )


def gzipped_zeros(head: bytes, mebibytes: int, tail: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    out = deflater.compress(head)
    for _ in range(mebibytes):
        out += deflater.compress(bytes(MIB))
    return out + deflater.compress(tail) + deflater.flush()


def _tar_bomb(mebibytes: int) -> bytes:
    size = b"%011o\0" % (mebibytes * MIB)
    member = TarPiece(name="m/zeros.bin", header={"size": size}).to_bytes()
    return gzipped_zeros(tar_bytes(tar_pieces(), end=b"") + member, mebibytes, bytes(1024))


def _limits() -> list[Fault]:
    small = lambda: zip_bytes(pieces(bomb(1)))  # noqa: E731
    many = [Piece(name=f"{number}.txt") for number in range(9_998)]
    rows = [
        ("zip: bomb of 300 MiB", "MAR-L002", lambda: zip_bytes(pieces(bomb(300))), small),
        ("zip: bomb that says 100 bytes", "MAR-A131",
         lambda: zip_bytes(pieces(bomb(300, told=100))), small),
        ("zip: bomb of many members", "MAR-L002", lambda: zip_bytes(
            pieces(*(replace(bomb(3), name=f"{n}.bin") for n in range(100)))), small),
        ("zip: member that says 4 GiB", "MAR-L002", lambda: zip_bytes(
            pieces(bomb(1, told=0xFFFFFFF0))), small),
        ("zip: 10,001 members", "MAR-L001",
         lambda: zip_bytes(pieces(*many, Piece(name="last"))), lambda: zip_bytes(pieces(*many))),
    ]  # fmt: skip
    faults = [Fault(id=name, code=code, bad=bad, good=good) for name, code, bad, good in rows]
    many_in_tar = [TarPiece(name=f"m/{number}.txt") for number in range(9_998)]
    rows = [
        ("tar: bomb of 300 MiB", "MAR-L002", lambda: _tar_bomb(300), lambda: _tar_bomb(1)),
        ("tar: zeros behind the end, 300 MiB", "MAR-L002",
         lambda: gzipped_zeros(tar_bytes(tar_pieces()), 300, b""),
         lambda: gzipped_zeros(tar_bytes(tar_pieces()), 1, b"")),
        ("tar: member that says 8 EiB", "MAR-L002",
         lambda: tgz_bytes(tar_pieces(TarPiece(name="m/x", header={
             "size": b"\x80" + bytes(3) + (1 << 63).to_bytes(8, "big")}))),
         lambda: tgz_bytes(tar_pieces(TarPiece(name="m/x", data=b"1", header={
             "size": b"\x80" + bytes(10) + b"\x01"})))),
        ("tar: 10,001 members", "MAR-L001",
         lambda: tgz_bytes(tar_pieces(*many_in_tar, TarPiece(name="m/last"))),
         lambda: tgz_bytes(tar_pieces(*many_in_tar))),
    ]  # fmt: skip
    return faults + [
        Fault(id=name, code=code, bad=bad, good=good, suffix=".tar.gz")
        for name, code, bad, good in rows
    ]


NOT_ARCHIVES = {
    "git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "HTML page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "XML error": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "JSON": b'{"error": "not found"}',
    "text": b"this is not a model\n" * 40,
    "Python source": HANDLER,
    "7z": b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(100),
    "RAR": b"Rar!\x1a\x07\x01\x00" + bytes(100),
    "xz": b"\xfd7zXZ\x00" + bytes(100),
    "bzip2": b"BZh91AY&SY" + bytes(100),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(100),
    "pickle": b"\x80\x04\x95\x00\x00",
    "safetensors": (2).to_bytes(8, "little") + b'{"a": {}}',
    "zeros": bytes(4096),
    "random": bytes(range(255, 0, -1)) * 9,
    "plain tar": tar_bytes(tar_pieces()),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "ELF": b"\x7fELF" + bytes(100),
    "NUL text": b"text\0text",
}


def old_torch_tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return stream.getvalue()


def _wrong_files() -> list[Fault]:
    faults = [
        Fault(id=f"file: {name}", code="MAR-A001", bad=lambda data=data: data, good=sound)
        for name, data in {**NOT_ARCHIVES, "torch's old tar": old_torch_tar()}.items()
    ]
    tgz = lambda: tgz_bytes(tar_pieces())  # noqa: E731
    ending = ".tar.gz"
    return [
        *faults,
        Fault(id="file: tar.gz called .mar", code="MAR-A003", bad=tgz, good=sound),
        Fault(id="file: zip called .tar.gz", code="MAR-A003", bad=sound, good=tgz, suffix=ending),
        Fault(id="file: zip called .tgz", code="MAR-A003", bad=sound, good=tgz, suffix=".tgz"),
        Fault(
            id="file: gzipped text",
            code="MAR-A203",
            bad=lambda: gz(b"text" * 300),
            good=tgz,
            suffix=ending,
        ),
        Fault(
            id="file: gzipped nothing",
            code="MAR-A204",
            bad=lambda: gz(b""),
            good=tgz,
            suffix=ending,
        ),
    ]


FAULTS = [*_names(), *_limits(), *_wrong_files()]
