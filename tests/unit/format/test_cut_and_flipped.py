"""An archive cut off anywhere is refused, and a byte flipped anywhere is noticed."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from craft import HANDLER, Piece, TarPiece, manifest_bytes, pieces, tar_pieces, tgz_bytes, zip_bytes

from mar_core.cache.entries import unpacked
from mar_core.errors import ArchiveError
from mar_core.findings import Severity, ValidationError
from mar_core.format import open_archive

WEIGHTS = random.Random(1).randbytes(3000)


def with_digests():
    data = json.loads(manifest_bytes())
    contents = {"handler.py": HANDLER, "weights.bin": WEIGHTS}
    data["mar"] = {
        "members": {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in contents.items()
        }
    }
    return zip_bytes(
        pieces(Piece(name="weights.bin", data=WEIGHTS), manifest=json.dumps(data).encode())
    )


ARCHIVES = {
    "plain.mar": zip_bytes(pieces(Piece(name="weights.bin", data=WEIGHTS))),
    "digests.mar": with_digests(),
    "streamed.mar": zip_bytes(
        pieces(Piece(name="weights.bin", data=WEIGHTS, deflate=True, descriptor=True))
    ),
    "zip64.mar": zip_bytes(pieces(Piece(name="weights.bin", data=WEIGHTS, zip64=True)), zip64=True),
    "comment.mar": zip_bytes(pieces(Piece(name="weights.bin", data=WEIGHTS)), comment=b"by hand"),
    "plain.tar.gz": tgz_bytes(tar_pieces(TarPiece(name="m/weights.bin", data=WEIGHTS))),
}
named = pytest.mark.parametrize("name", ARCHIVES)


def faults_of(path):
    try:
        with open_archive(path) as archive:
            return archive.verify()
    except ValidationError as error:
        return error.findings


@named
def test_it_is_sound_when_whole(name, tmp_path):
    (tmp_path / name).write_bytes(ARCHIVES[name])
    assert not faults_of(tmp_path / name)


@named
def test_cut_off_anywhere(name, tmp_path):
    path, whole = tmp_path / name, ARCHIVES[name]
    path.write_bytes(whole)
    lengths = range(len(whole) - 1, -1, -1)
    with path.open("r+b") as file:
        for length in lengths:
            file.truncate(length)
            found = faults_of(path)
            assert found, length
            assert all(one.severity is Severity.ERROR for one in found)


@pytest.mark.parametrize("length", [50, 1000, 3000])
def test_the_cut_is_named(length, tmp_path):
    path = tmp_path / "cut.mar"
    path.write_bytes(ARCHIVES["plain.mar"][:length])
    with pytest.raises(ValidationError, match=f"cut off at byte {length:,}"):
        open_archive(path)


@named
def test_a_byte_flipped_anywhere_that_matters_is_noticed(name, tmp_path):
    """What no reader looks at (times, versions, attributes) may change; all else may not."""
    whole = ARCHIVES[name]
    path = tmp_path / name
    rng, unnoticed = random.Random(7), 0
    for _ in range(1000):
        place = rng.randrange(len(whole))
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ rng.randrange(1, 256)]) + whole[place + 1 :]
        )
        if not faults_of(path):
            unnoticed += 1
            assert same_members(path, whole)
    assert unnoticed < 60


def same_members(path, whole):
    sound = path.with_name(f"sound-{path.name}")
    sound.write_bytes(whole)
    with open_archive(path) as one, open_archive(sound) as other:
        return {name: one.read(name) for name in one.members} == {
            name: other.read(name) for name in other.members
        }


def test_a_flipped_byte_of_any_content_is_noticed_everywhere(tmp_path):
    path, whole = tmp_path / "m.mar", ARCHIVES["digests.mar"]
    start = whole.index(WEIGHTS)
    for place in range(start, start + len(WEIGHTS), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with open_archive(path) as archive:
            assert {found.code for found in archive.verify()} <= {"MAR-A130", "MAR-A133"}
            with pytest.raises(ArchiveError):
                archive.read("weights.bin")
            with pytest.raises(ArchiveError):
                unpacked(archive)


def test_a_crc_made_to_fit_is_noticed_by_the_digest(tmp_path):
    """A CRC-32 can be forged; the manifest's SHA-256 cannot."""
    import zlib

    forged = b"X" + WEIGHTS[1:]
    true, false = (zlib.crc32(data).to_bytes(4, "little") for data in (WEIGHTS, forged))
    path = tmp_path / "m.mar"
    path.write_bytes(ARCHIVES["digests.mar"].replace(WEIGHTS, forged).replace(true, false))
    with open_archive(path) as archive:
        assert [found.code for found in archive.verify()] == ["MAR-A133"]
