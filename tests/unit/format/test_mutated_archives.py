"""What mar accepts, others read the same way; what it does not, it refuses in a sentence."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import hypothesis
import javareader
import pytest
from hypothesis import strategies
from mutate import mutated_tar, mutated_zip, random_tar, random_zip

from mar_core.errors import MarError
from mar_core.format import open_archive

MUTANTS = int(os.environ.get("MAR_MUTANTS", "10000"))


def seen_by_mar(path):
    """Name, size and CRC-32 of each member, or None for an archive that is refused."""
    try:
        with open_archive(path) as archive:
            if archive.verify():
                return None
            return {name: summary(archive.read(name)) for name in archive.members}
    except MarError:
        return None


def seen_by_zipfile(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        assert len(names) == len(set(names))
        return {name: summary(archive.read(name)) for name in names}


def seen_by_tarfile(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        files = [member for member in archive if not member.isdir()]
        assert all(member.isreg() for member in files)
        return {
            file.name.partition("/")[2]: summary(archive.extractfile(file).read()) for file in files
        }


def summary(data):
    return len(data), zlib.crc32(data)


@pytest.fixture(scope="module")
def folder():
    """A folder in memory, where there is one: ten thousand files are made in it."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=memory) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def accepted(folder):
    """Every mutant that mar accepts, in a folder, with what it saw."""
    rng = random.Random(20261122)
    seen = {}
    for number in range(MUTANTS):
        path = folder / f"{number}.mar"
        path.write_bytes(mutated_zip(rng))
        found = seen_by_mar(path)
        if found is None:
            path.unlink()
        else:
            seen[path.name] = found
    return folder, seen


def test_many_mutants_are_accepted_and_many_are_not(accepted):
    assert MUTANTS // 100 < len(accepted[1]) < MUTANTS // 2


def test_zipfile_sees_the_same_in_what_is_accepted(accepted):
    folder, seen = accepted
    for name, members in seen.items():
        assert seen_by_zipfile((folder / name).read_bytes()) == members, name


@javareader.needs_java
def test_java_sees_the_same_in_what_is_accepted(accepted):
    folder, seen = accepted
    by_java = javareader.entries_by_java(folder)
    for name, members in seen.items():
        entries = by_java[name]
        assert not isinstance(entries, str), f"{name}: {entries}"
        files = [entry for entry in entries if not entry[0].endswith("/")]
        assert {name: (size, crc) for name, size, crc in files} == members, name
        assert len(files) == len(members)


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(strategies.randoms(use_true_random=False))
def test_a_zip_is_read_alike_or_refused(tmp_path_factory, rng):
    data = mutated_zip(rng)
    path = tmp_path_factory.getbasetemp() / "hypothesis.mar"
    path.write_bytes(data)
    members = seen_by_mar(path)
    assert members is None or members == seen_by_zipfile(data)


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(strategies.randoms(use_true_random=False))
def test_a_tar_is_read_alike_or_refused(tmp_path_factory, rng):
    data = mutated_tar(rng)
    path = tmp_path_factory.getbasetemp() / "hypothesis.tar.gz"
    path.write_bytes(gzip.compress(data, 1, mtime=0))
    members = seen_by_mar(path)
    assert members is None or members == seen_by_tarfile(data)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(strategies.randoms(use_true_random=False))
def test_what_is_mutated_was_sound(tmp_path_factory, rng):
    folder = tmp_path_factory.getbasetemp()
    for suffix, data in ((".mar", random_zip(rng)), (".tar.gz", gzip.compress(random_tar(rng)))):
        path = folder / f"sound{suffix}"
        path.write_bytes(data)
        assert seen_by_mar(path) is not None


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(strategies.binary(max_size=400), strategies.sampled_from([".mar", ".tar.gz"]))
def test_any_bytes_are_refused_in_a_sentence(tmp_path_factory, data, suffix):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(data)
    assert seen_by_mar(path) is None


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08\x00"])
@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(strategies.binary(max_size=300))
def test_any_bytes_behind_a_true_beginning_are_refused_in_a_sentence(tmp_path_factory, head, data):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(head + data)
    assert seen_by_mar(path) is None
