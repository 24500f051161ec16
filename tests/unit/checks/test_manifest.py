"""The manifest's rules: each fault next to the sound manifest that it is made from."""

from __future__ import annotations

import json

import memory_archive
import pytest
from contentfaults import MANIFESTS, SOUND_MANIFEST, changed, with_model, without_model
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_archive import MANIFEST, MemoryArchive, codes

from mar_core import Severity
from mar_core.checks.rules import mar_validate_archive as check


def found(raw: bytes):
    return list(check(MemoryArchive({MANIFEST: raw, "handler.py": memory_archive.HANDLER})))


SOUND_ONES = {
    "as archived": changed(),
    "unknown keys": changed(publisher={"author": "x"}, license="MIT"),
    "legacy keys": changed(specificationVersion="1.0", implementationVersion="1.0"),
    "an empty name of a file": with_model(serializedFile="", modelFile="", requirementsFile=""),
    "null for a file": with_model(serializedFile=None),
    "python3": changed(runtime="python3"),
    "no runtime": changed(runtime=None),
    "a version with spaces": with_model(modelVersion="1.0 beta (ü)"),
    "no version": without_model("modelVersion"),
    "a leading digit": with_model(modelName="9-lives_v1.0"),
    "our keys": changed(mar={"members": {"handler.py": {"size": 1, "sha256": "00"}}, "later": []}),
}


@pytest.mark.parametrize("raw", SOUND_ONES.values(), ids=SOUND_ONES)
def test_a_sound_manifest(raw):
    assert codes(found(raw)) == []


@pytest.mark.parametrize(("raw", "code"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_fault(raw, code):
    assert code in codes(found(raw))
    assert any(f.severity is Severity.ERROR and f.member == MANIFEST for f in found(raw))


@pytest.mark.parametrize(
    "mar",
    [
        {"members": {"handler.py": {"size": None}}}, {"members": {"handler.py": {"size": True}}},
        {"handler": {"distribution": None}}, {"handler": None},
    ],
    ids=str,
)  # fmt: skip
def test_our_own_keys_have_their_types(mar):
    (finding,) = found(changed(mar=mar))
    assert finding.code == "MAR-M004"


def test_a_null_is_called_so():
    (finding,) = found(changed(mar={"handler": None}))
    assert finding.message == "mar.handler is null, where an object is expected."
    (finding,) = found(changed(mar={"members": {"a": {"size": True}}}))
    assert finding.message == "mar.members['a'].size is a boolean, where an integer is expected."
    (finding, *_) = found(with_model(modelName=1.5))
    assert finding.message == "model.modelName is a number, where a string is expected."


def test_a_signature_that_is_none():
    (finding,) = found(changed(mar={"signature": {"inputs": 1}}))
    assert (finding.code, finding.member) == ("MAR-M009", MANIFEST)
    assert finding.message.startswith("mar.signature: ")


def test_how_deep_a_manifest_may_be():
    def deep(levels, filling="0"):
        return b'{"a": "]]}}\\"[{", "b": ' + b"[" * levels + filling.encode() + b"]" * levels + b"}"

    for sound in (deep(63), deep(62, "[],{},[]"), deep(60, ",".join(["[[]]"] * 99))):
        assert "MAR-M002" not in codes(found(sound))
    for raw in (deep(64), deep(63, "[]"), deep(62, "[],[],[[]]")):
        assert "64 levels deep" in found(raw)[0].message


def test_a_version_may_be_long():
    assert codes(found(with_model(modelVersion="1" * 128))) == []
    (finding,) = found(with_model(modelVersion="1" * 129))
    assert finding.code == "MAR-M005"


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
    data = {**SOUND_MANIFEST, "model": {**SOUND_MANIFEST["model"], **model}, **top}
    for finding in found(json.dumps(data).encode()):
        assert finding.message.endswith((".", "!", "?"))
        assert finding.hint


@given(st.binary(max_size=200))
def test_no_bytes_make_the_rules_raise(raw):
    assert codes(found(raw))
