"""The manifest's rules: each fault next to the sound manifest that it is made from."""

from __future__ import annotations

import json

import memory_archive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_archive import MANIFEST, MemoryArchive, codes

from mar_core import Severity
from mar_core.rules.book import check

SOUND = json.loads(memory_archive.manifest())


def found(raw: bytes):
    return list(check(MemoryArchive({MANIFEST: raw, "handler.py": memory_archive.HANDLER})))


def changed(**top: object) -> bytes:
    """The sound manifest with keys at the top replaced; None takes one out."""
    data = {**SOUND, **top}
    return json.dumps({key: value for key, value in data.items() if value is not None}).encode()


def with_model(**model: object) -> bytes:
    return changed(model={**SOUND["model"], **model})


def without_model(key: str) -> bytes:
    return changed(model={name: value for name, value in SOUND["model"].items() if name != key})


SOUND_ONES = {
    "as archived": changed(),
    "unknown keys": changed(publisher={"author": "x"}, license="MIT"),
    "legacy keys": changed(specificationVersion="1.0", implementationVersion="1.0"),
    "null for a file": with_model(serializedFile=None),
    "python3": changed(runtime="python3"),
    "no runtime": changed(runtime=None),
    "a version with spaces": with_model(modelVersion="1.0 beta (ü)"),
    "no version": without_model("modelVersion"),
    "a leading digit": with_model(modelName="9-lives_v1.0"),
    "our keys": changed(mar={"members": {"handler.py": {"size": 1, "sha256": "00"}}, "later": []}),
}
FAULTS = {
    "not JSON": (b"{", "MAR-M002"),
    "empty": (b"", "MAR-M002"),
    "a list": (b"[]", "MAR-M002"),
    "NaN": (b'{"model": NaN}', "MAR-M002"),
    "a key twice": (b'{"model": {}, "model": {}}', "MAR-M002"),
    "a byte order mark": (b"\xef\xbb\xbf" + changed(), "MAR-M002"),
    "UTF-16": (changed().decode().encode("utf-16"), "MAR-M002"),
    "not UTF-8": (b'{"model": "\xff"}', "MAR-M002"),
    "nested deeply": (b'{"model": ' + b"[" * 5000 + b"]" * 5000 + b"}", "MAR-M002"),
    "endless digits": (b'{"model": ' + b"1" * 5000 + b"}", "MAR-M002"),
    "single quotes": (b"{'model': {}}", "MAR-M002"),
    "too large": (b'{"x": "' + b"y" * (1 << 20) + b'"}', "MAR-M002"),
    "no model": (changed(model=None), "MAR-M003"),
    "no name": (without_model("modelName"), "MAR-M003"),
    "an empty name": (with_model(modelName=""), "MAR-M003"),
    "no handler": (without_model("handler"), "MAR-M003"),
    "a null handler": (with_model(handler=None), "MAR-M003"),
    "an empty handler": (with_model(handler=""), "MAR-M003"),
    "model is a list": (changed(model=[]), "MAR-M004"),
    "model is a text": (changed(model="x"), "MAR-M004"),
    "the name is a number": (with_model(modelName=1), "MAR-M004"),
    "the name is true": (with_model(modelName=True), "MAR-M004"),
    "the handler is a list": (with_model(handler=["handler.py"]), "MAR-M004"),
    "the version is a number": (with_model(modelVersion=1.0), "MAR-M004"),
    "a file is an object": (with_model(serializedFile={}), "MAR-M004"),
    "the runtime is a number": (changed(runtime=3), "MAR-M004"),
    "our key is a list": (changed(mar=[]), "MAR-M004"),
    "our members are a list": (changed(mar={"members": []}), "MAR-M004"),
    "a member's entry is a text": (changed(mar={"members": {"a": "b"}}), "MAR-M004"),
    "a digest is a number": (changed(mar={"members": {"a": {"sha256": 1}}}), "MAR-M004"),
    "a size is a text": (changed(mar={"members": {"a": {"size": "1"}}}), "MAR-M004"),
    "our handler is a text": (changed(mar={"handler": "x"}), "MAR-M004"),
    "a name with a slash": (with_model(modelName="a/b"), "MAR-M005"),
    "a name that leads out": (with_model(modelName="../a"), "MAR-M005"),
    "a name with a space": (with_model(modelName="a b"), "MAR-M005"),
    "a name with a line end": (with_model(modelName="a\n"), "MAR-M005"),
    "a name that begins with a dot": (with_model(modelName=".a"), "MAR-M005"),
    "a version with a slash": (with_model(modelVersion="1/../2"), "MAR-M005"),
    "a version that controls": (with_model(modelVersion="1\x1b[2J"), "MAR-M005"),
    "an endless version": (with_model(modelVersion="1" * 200), "MAR-M005"),
    "an unknown runtime": (changed(runtime="java"), "MAR-M006"),
}


@pytest.mark.parametrize("raw", SOUND_ONES.values(), ids=SOUND_ONES)
def test_a_sound_manifest(raw):
    assert codes(found(raw)) == []


@pytest.mark.parametrize(("raw", "code"), FAULTS.values(), ids=FAULTS)
def test_a_fault(raw, code):
    assert code in codes(found(raw))
    assert any(f.severity is Severity.ERROR and f.member == MANIFEST for f in found(raw))


def test_no_manifest():
    (finding,) = check(MemoryArchive({"handler.py": memory_archive.HANDLER}))
    assert finding.code == "MAR-M001"


def test_a_handler_in_another_language_is_a_warning():
    raw = with_model(handler="libx:Handler").replace(b'"python"', b'"LSP"')
    assert codes(found(raw)) == ["MAR-M007"]


def test_what_torchserve_only_warns_of_is_a_note():
    assert codes(found(changed(createdOn=None, archiverVersion=None))) == ["MAR-M008"]


def test_names_of_strangers_do_not_reach_the_terminal_as_they_are():
    for finding in found(with_model(modelName="a\x1b[31m\u202eb", handler="h\x1b.py")):
        assert "\x1b" not in str(finding)
        assert "\u202e" not in str(finding)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
keys = st.sampled_from(
    ["modelName", "handler", "modelFile", "serializedFile", "requirementsFile", "configFile",
     "modelVersion"]
)  # fmt: skip


@settings(max_examples=200)
@given(
    top=st.dictionaries(st.sampled_from(["model", "mar", "runtime", "createdOn"]), json_values),
    model=st.dictionaries(keys, json_values | st.sampled_from(["handler.py", "../x", "C:\\x"])),
)
def test_no_manifest_makes_the_rules_raise(top, model):
    data = {**SOUND, "model": {**SOUND["model"], **model}, **top}
    for finding in found(json.dumps(data).encode()):
        assert finding.message.endswith((".", "!", "?"))
        assert finding.hint


@given(st.binary(max_size=200))
def test_no_bytes_make_the_rules_raise(raw):
    assert codes(found(raw))
