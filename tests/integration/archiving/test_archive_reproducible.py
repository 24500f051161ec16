"""The same inputs give the same bytes: wherever, whenever and by whomever they are archived."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest
from packs import archive_words, mar, model_folder

ENDINGS = {"default": ".mar", "zip-store": ".mar", "tgz": ".tar.gz"}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree_digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path.relative_to(folder)), digest(path)) for path in files]


@pytest.fixture
def twins(tmp_path):
    """Two folders with the same files, of other times, modes and order on the disk."""
    first, second = model_folder(tmp_path / "first"), tmp_path / "far" / "second"
    second.mkdir(parents=True)
    for path in sorted(first.rglob("*"), reverse=True):
        copy = second / path.relative_to(first)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            shutil.copyfile(path, copy)
            os.utime(copy, (1, 1))
            copy.chmod(0o600)
    return first, second


@pytest.mark.parametrize("archive_format", ENDINGS)
def test_bytes_do_not_depend_on_anything_else(twins, archive_format):
    first, second = twins
    output = f"model{ENDINGS[archive_format]}"
    mar(*archive_words("--archive-format", archive_format), cwd=first, TZ="UTC")
    before = os.umask(0o077)
    try:
        words = archive_words("--archive-format", archive_format, "--export-path", str(first / "x"))
        words = [str(second / word) if (second / word).is_file() else word for word in words]
        words[words.index("index_to_name.json, pkg=pkg/")] = (
            f"{second}/pkg=pkg/ ,{second}/index_to_name.json"
        )
        mar(*words, cwd=twins[1].parent, TZ="Pacific/Kiritimati", LC_ALL="C", PYTHONHASHSEED="7")
    finally:
        os.umask(before)
    assert digest(first / output) == digest(first / "x" / output)


def test_no_archive_too(twins):
    for folder in twins:
        mar(*archive_words("--archive-format", "no-archive"), cwd=folder)
    first, second = (tree_digest(folder / "model") for folder in twins)
    assert first == second


def test_the_digest_does_not_depend_on_the_format(twins):
    lines = {
        mar(*archive_words("-f", "--archive-format", name), cwd=twins[0]).stdout.split("sha256:")[1]
        for name in (*ENDINGS, "no-archive")
    }
    assert len(lines) == 1


def test_source_date_epoch(twins):
    import zipfile

    mar(*archive_words(), cwd=twins[0], SOURCE_DATE_EPOCH="1700000001")
    with zipfile.ZipFile(twins[0] / "model.mar") as opened:
        assert {info.date_time for info in opened.infolist()} == {(2023, 11, 14, 22, 13, 20)}
        assert b'"createdOn": "14/11/2023 22:13:21"' in opened.read("MAR-INF/MANIFEST.json")
    done = mar(*archive_words("-f"), cwd=twins[0], code=2, SOURCE_DATE_EPOCH="yesterday")
    assert "SOURCE_DATE_EPOCH is 'yesterday', which is no number of seconds" in done.stderr


def test_a_byte_more_is_another_archive(twins):
    first = mar(*archive_words(), cwd=twins[0]).stdout
    with (twins[0] / "index_to_name.json").open("a") as stream:
        stream.write("\n")
    assert mar(*archive_words("-f"), cwd=twins[0]).stdout != first
