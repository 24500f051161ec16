"""Zip files, tar files and webdataset shards."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import tarfile
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
import webdataset

from mar_core import InputError

FILES = {"img/1.png": b"\x89PNG1", "img/2.png": b"\x89PNG2", "notes.txt": b"hi", "noending": b"x"}
CLUTTER = {".DS_Store": b"", "__MACOSX/img/1.png": b"", "img/.x": b""}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def expected(path, files):
    return [(f"{path}!{name}", {"body": bytearray(value)}) for name, value in files.items()]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_gives_its_files(requests, method):
    write_zip("p.zip", {"img/": b"", **FILES, **CLUTTER}, method)
    assert requests("p.zip") == expected("p.zip", FILES)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("p.tar", "w"),
        ("p.tar.gz", "w:gz"),
        ("p.tgz", "w:gz"),
        ("p.tar.bz2", "w:bz2"),
        ("p.tar.xz", "w:xz"),
    ],
)
def test_a_tar_gives_its_files(requests, name, mode):
    write_tar(name, {**FILES, **CLUTTER}, mode)
    assert requests(name) == expected(name, FILES)


@pytest.mark.parametrize("name", ["p.zip", "p.tar", "p.tar.gz"])
def test_include_and_content_type(requests, name):
    write = write_zip if name.endswith("zip") else write_tar
    write(name, FILES, **({"mode": "w:gz"} if name.endswith("gz") else {}))
    assert [found for found, _ in requests(name, include=("*.txt", "img/2*"))] == [
        f"{name}!img/2.png", f"{name}!notes.txt",
    ]  # fmt: skip
    assert requests(name, include=("*.txt",), content_type="image/png") == [
        (f"{name}!notes.txt", {"body": bytearray(b"hi")})
    ]
    assert requests(name, include=("*.jpg",)) == [(name, f"{name} holds no file that is wanted.")]


@pytest.mark.parametrize("name", ["p.zip", "p.tar", "p.tar.gz"])
def test_members_travel_to_other_processes(inputs, name):
    write = write_zip if name.endswith("zip") else write_tar
    files = {f"{n:03}.bin": bytes([n]) * 1000 for n in range(60)}
    write(name, files, **({"mode": "w:gz"} if name.endswith("gz") else {}))
    items = inputs(name)
    wanted = [{"body": bytearray(content)} for content in files.values()]
    assert [pickle.loads(pickle.dumps(item)).read() for item in items] == wanted
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read, items)) == wanted
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=fork) as processes:
        assert list(processes.map(read, items)) == wanted


def read(item):
    return item.read()


def test_a_name_twice_gives_two_ids(requests):
    with zipfile.ZipFile("p.zip", "w") as archive:
        archive.writestr("a.txt", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.txt", b"2")
    assert requests("p.zip") == [
        ("p.zip!a.txt", {"body": bytearray(b"1")}),
        ("p.zip!a.txt#2", {"body": bytearray(b"2")}),
    ]
    with tarfile.open("p.tar", "w") as archive:
        for content in b"12":
            member = tarfile.TarInfo("a.txt")
            member.size = 1
            archive.addfile(member, io.BytesIO(bytes([content])))
    assert requests("p.tar") == [
        ("p.tar!a.txt", {"body": bytearray(b"1")}),
        ("p.tar!a.txt#2", {"body": bytearray(b"2")}),
    ]


def test_names_that_would_leave_the_folder_are_only_names(here, requests):
    write_zip("p.zip", {"../../out.txt": b"hi"})
    assert requests("p.zip") == [("p.zip", "p.zip holds no file that is wanted.")]
    write_tar("p.tar", {"/abs/x.txt": b"hi"})
    assert requests("p.tar")[0][1] == {"body": bytearray(b"hi")}
    assert sorted(path.name for path in here.rglob("*")) == ["p.tar", "p.zip"]


def test_a_damaged_member_costs_one_row(here, requests):
    write_zip("p.zip", {"a.bin": b"a" * 999, "b.bin": b"b" * 999}, zipfile.ZIP_STORED)
    content = bytearray((here / "p.zip").read_bytes())
    content[content.index(b"aaaa")] = 0
    (here / "p.zip").write_bytes(content)
    (_, said), (_, good) = requests("p.zip")
    assert said.startswith("p.zip!a.bin is damaged: Bad CRC-32")
    assert good == {"body": bytearray(b"b" * 999)}


def test_an_encrypted_member_and_a_bomb(here, requests):
    write_zip("p.zip", {"a.bin": b"a", "b.bin": b"bb" * 100})
    content = bytearray((here / "p.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (here / "p.zip").write_bytes(content)
    assert [said for _, said in requests("p.zip", max_input_size=100)] == [
        "p.zip!a.bin is encrypted.",
        "p.zip!b.bin is larger than 100 bytes. Take larger ones with --max-input-size.",
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip(here, requests, content):
    (here / "p.zip").write_bytes(content)
    ((name, said),) = requests("p.zip")
    assert name == "p.zip"
    assert said.startswith("p.zip is no sound zip file: ")


def test_a_zip_that_is_written_again_is_opened_again(requests):
    write_zip("p.zip", {"a.txt": b"1"})
    assert requests("p.zip") == [("p.zip!a.txt", {"body": bytearray(b"1")})]
    write_zip("p.zip", {"b.txt": b"other"})
    assert requests("p.zip") == [("p.zip!b.txt", {"body": bytearray(b"other")})]


def test_links_and_devices_are_refused_one_by_one(requests):
    write_tar("p.tar", {"a.txt": b"1"})
    with tarfile.open("p.tar", "a") as archive:
        for name, kind in (
            ("b.txt", tarfile.SYMTYPE),
            ("c.txt", tarfile.LNKTYPE),
            ("d", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "a.txt"
            archive.addfile(member)
    found = requests("p.tar")
    assert found[0] == ("p.tar!a.txt", {"body": bytearray(b"1")})
    assert [said for _, said in found[1:]] == [
        f"p.tar!{name} is a link or a device." for name in ("b.txt", "c.txt", "d")
    ]


@pytest.mark.parametrize("cut", [100, 512, 1000, 1024, 2000, 2048, 2600, 3071])
def test_a_tar_that_is_cut_off_says_so(here, requests, cut):
    """Wherever it is cut: a reader that takes the cut for the end would lose inputs silently."""
    write_tar("p.tar", {"a.bin": b"a" * 512, "b.bin": b"b" * 512, "c.bin": b"c" * 512})
    (here / "p.tar").write_bytes((here / "p.tar").read_bytes()[:cut])
    said = [value for _, value in requests("p.tar") if isinstance(value, str)]
    assert said
    assert all(sentence.startswith("p.tar") for sentence in said)


def test_a_packed_tar_that_is_cut_off_says_so(here, requests):
    write_tar("p.tar.gz", {f"{n}.bin": bytes(range(256)) * 8 for n in range(9)}, "w:gz")
    whole = (here / "p.tar.gz").read_bytes()
    for cut in range(0, len(whole) - 8, 7):
        (here / "p.tar.gz").write_bytes(whole[:cut])
        *_, (name, said) = requests("p.tar.gz")
        assert name == "p.tar.gz"
        assert said.startswith("p.tar.gz ")
    (here / "p.tar.gz").write_bytes(whole[:-8] + b"\x00" + whole[-7:])
    assert "CRC" in requests("p.tar.gz")[-1][1]


def test_webdataset_shards_give_samples(here, requests, inputs):
    with webdataset.TarWriter("s.tar") as sink:
        for number in range(3):
            sink.write(
                {"__key__": f"set/{number:04}", "jpg": b"\xff\xd8%d" % number, "cls": number,
                 "json": {"n": number}}
            )  # fmt: skip
    found = requests("s.tar")
    assert [name for name, _ in found] == ["s.tar!set/0000", "s.tar!set/0001", "s.tar!set/0002"]
    assert found[2][1] == {
        "data": bytearray(b"\xff\xd82"), "cls": bytearray(b"2"), "json": {"n": 2},
    }  # fmt: skip
    assert requests("s.tar", column="json")[1] == ("s.tar!set/0001", {"data": {"n": 1}})
    assert "no column 'txt'" in requests("s.tar", column="txt")[0][1]
    assert [name for name, _ in requests("s.tar", include=("*.jpg",))][:1] == ["s.tar!set/0000.jpg"]
    assert inputs("s.tar")[0].headers["data"] == {"content-type": "image/jpeg"}


def test_which_files_make_a_sample(requests):
    one = {"a.seg.png": b"s", "a.png": b"p"}
    pictures = {"b.png": b"1", "b.jpg": b"2"}
    apart = {"c.png": b"3", "z.txt": b"z", "c.cls": b"4"}
    write_tar("s.tar", {**one, **pictures, **apart})
    found = requests("s.tar")
    assert [name for name, _ in found] == [
        "s.tar!a", "s.tar!b.png", "s.tar!b.jpg", "s.tar!c.png", "s.tar!z.txt", "s.tar!c.cls",
    ]  # fmt: skip
    assert found[0][1] == {"data": bytearray(b"p"), "seg.png": bytearray(b"s")}


def test_a_long_tar_keeps_nothing_of_what_is_past(inputs, monkeypatch):
    write_tar("p.tar", {f"{n}.bin": b"x" for n in range(50)})
    seen = []
    real = tarfile.TarFile.next

    def watch(self):
        seen.append(len(self.members))
        return real(self)

    monkeypatch.setattr(tarfile.TarFile, "next", watch)
    assert len(inputs("p.tar")) == 50
    assert max(seen) <= 1


def test_a_member_that_went_away(here, inputs):
    write_tar("p.tar", {"a.bin": b"a"})
    (item,) = inputs("p.tar")
    (here / "p.tar").unlink()
    with pytest.raises(InputError, match=r"There is no p\.tar"):
        item.read()
