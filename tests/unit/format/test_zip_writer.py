"""Deflated texts have the same bytes whatever library made them."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from mar_core.format.zip_writer import deflated, is_text


def with_zlib_ng(data):
    packer = zlib_ng.compressobj(9, 8, -15, 8, zlib_ng.Z_RLE)
    return packer.compress(data) + packer.flush()


def test_two_libraries_agree_on_real_texts():
    texts = [path.read_bytes() for path in Path(zlib_ng.__file__).parents[1].glob("p*/*.py")]
    whole = b"".join(texts)
    rough = random.Random(0)
    texts += [whole[: 4 << 20], b"x" * 3_000_000, bytes(rough.choices(b"ab \n", k=300_000))]
    assert len(texts) > 50
    for text in texts:
        assert deflated(text) == with_zlib_ng(text)
        assert zlib.decompress(deflated(text), -15) == text


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=20_000) | st.text(max_size=5_000).map(str.encode))
def test_two_libraries_agree_on_anything(data):
    assert deflated(data) == with_zlib_ng(data)


def test_what_is_text(tmp_path):
    assert is_text(b"")
    assert is_text("naïve\n\t".encode())
    assert is_text(b"a" * 8191 + "é".encode()), "a character may lie across the sample's end"
    assert not is_text(b"\xff\xfe")
    assert not is_text(b"PK\x03\x04")
    assert not is_text(b"a\0b")
    assert not is_text(b"a" * (17 << 20)), "too long to be held in memory"
    (tmp_path / "x").write_text("text")
    assert is_text(tmp_path / "x")
