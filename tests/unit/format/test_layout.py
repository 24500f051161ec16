"""The order of members, and the records around them."""

from __future__ import annotations

import io
import zipfile
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from mar_core.format.manifest import MANIFEST_NAME
from mar_core.format.sources import LARGE, in_order
from mar_core.format.zip_writer import ZipWriter

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\\"), min_size=1, max_size=80)


def test_what_seldom_changes_comes_first():
    contents = {
        MANIFEST_NAME: b"{}",
        "z.py": b"",
        "big.bin": bytes(LARGE),
        "a.txt": b"",
        "weights.pt": b"w",
        "another.bin": bytes(LARGE + 1),
    }
    expected = ["weights.pt", "another.bin", "big.bin", "a.txt", "z.py", MANIFEST_NAME]
    assert list(in_order(contents, "weights.pt")) == expected
    assert list(in_order(dict(reversed(contents.items())), "weights.pt")) == expected


@settings(max_examples=100, deadline=None)
@given(
    members=st.dictionaries(
        NAMES, st.binary(max_size=9000) | st.text(max_size=9000).map(str.encode)
    ),
    deflate=st.booleans(),
)
def test_zipfile_reads_whatever_is_written(tmp_path_factory, members, deflate):
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    with path.open("w+b") as stream:
        writer = ZipWriter(stream.fileno(), deflate=deflate, serialized=None)
        for name, data in members.items():
            digests = writer.add(name, data)
            assert digests.crc == zlib.crc32(data)
        writer.close()
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as opened:
        assert opened.namelist() == list(members)
        for name, data in members.items():
            assert opened.read(name) == data
