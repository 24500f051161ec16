"""What the manifest names: files that are there, and a handler that can be found."""

from __future__ import annotations

import json

import memory_archive
import pytest
from memory_archive import MANIFEST, archive, codes

from builtin_handlers.checks import mar_validate_archive as check_ours
from mar_core import Severity
from mar_core.checks.rules import mar_validate_archive as check
from mar_core.handlers.lookup import look_up

CLASS = b"from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler):\n    pass\n"


def found(extra=None, **model):
    return list(check(archive(extra, **model)))


@pytest.mark.parametrize("key", ["modelFile", "serializedFile", "requirementsFile", "configFile"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nosuch.bin", "MAR-R001"),
        ("../handler.py", "MAR-R002"),
        ("/etc/passwd", "MAR-R002"),
        ("C:\\handler.py", "MAR-R002"),
        ("./handler.py", "MAR-R002"),
        ("handler.py/", "MAR-R002"),
        ("a\x00b", "MAR-R002"),
    ],
)
def test_a_file_that_is_not_there(key, name, code):
    (finding,) = (f for f in found(**{key: name}) if f.code.startswith("MAR-R"))
    assert finding.code == code


def test_a_file_elsewhere_is_pointed_at():
    (finding,) = found({"sub/weights.bin": b""}, requirementsFile="weights.bin")
    assert "sub/weights.bin" in finding.message


@pytest.mark.parametrize(
    "handler",
    [
        "handler.py", "handler", "handler:handle", "handler.py:handle", "some/where/handler.py",
        "image_classifier", "base_handler", "densenet_handler",
        "builtin_handlers.image_classifier:ImageClassifier", "torchvision:models",
    ],
)  # fmt: skip
def test_handlers_that_are_found(handler):
    weights = {"serializedFile": "w.pt"} if "_" in handler or "torch" in handler else {}
    import weightsfiles

    extra = {"w.pt": weightsfiles.torchscript()} if weights else {}
    assert codes(found(extra, handler=handler, **weights)) == []


@pytest.mark.parametrize(
    ("handler", "code", "word"),
    [
        ("nosuch.py", "MAR-R001", "nosuch.py"),
        ("nosuch.py:handle", "MAR-R001", "nosuch.py"),
        ("sub/nosuch", "MAR-R001", "nosuch"),
        ("image_clasifier", "MAR-R003", "image_classifier"),
        ("nosuch", "MAR-R003", "nosuch"),
        ("nosuch.package:Handler", "MAR-R003", "nosuch.package"),
        ("os.path:join", "MAR-R005", "standard library"),
        ("subprocess:call", "MAR-R005", "standard library"),
        ("../handler.py", "MAR-R002", "path"),
        ("/tmp/x.py", "MAR-R002", "path"),
        ("..\\x.py", "MAR-R002", "path"),
        ("vllm_handler", "MAR-R006", "TorchServe"),
        ("dali_image_classifier", "MAR-R006", "TorchServe"),
    ],
)
def test_handlers_that_are_not(handler, code, word):
    content = {MANIFEST: memory_archive.manifest(handler=handler), "other.py": b""}
    (finding,) = check(memory_archive.MemoryArchive(content))
    assert finding.code == code
    assert word in str(finding)


@pytest.mark.parametrize("handler", ["handler.v2.py", "handler.v2", "handler.v2.py:handle"])
def test_a_file_whose_name_python_cannot_import(handler):
    content = {MANIFEST: memory_archive.manifest(handler=handler), "handler.v2.py": b""}
    (finding,) = check(memory_archive.MemoryArchive(content))
    assert finding.code == "MAR-R008"
    assert "dot" in finding.message
    assert "handler_v2.py" in (finding.hint or "")


def test_a_handler_that_leads_out_but_names_a_file_is_what_torchserve_runs():
    assert codes(found(handler="../handler.py")) == []


def test_a_handler_of_a_package_that_is_not_here():
    data = json.loads(memory_archive.manifest(handler="acme_handler"))
    data["mar"] = {"handler": {"distribution": "acme-handlers", "version": "2.1"}}
    content = {MANIFEST: json.dumps(data).encode()}
    (finding,) = check(memory_archive.MemoryArchive(content))
    assert finding.code == "MAR-R004"
    assert "pip install acme-handlers" in (finding.hint or "")


def test_a_file_of_the_archive_comes_before_a_registered_handler():
    place = look_up("image_classifier", {"image_classifier.py"})
    assert place is not None
    assert place.member == "image_classifier.py"


@pytest.mark.parametrize(
    ("handler", "member", "entry"),
    [
        ("pkg.mod:run", "pkg/mod.py", "run"),
        ("pkg", "pkg/__init__.py", None),
        ("a/b/mod.py:C", "mod.py", "C"),
        ("a.py", "a.py", None),
    ],
)
def test_where_a_handler_is(handler, member, entry):
    place = look_up(handler, {member})
    assert place is not None
    assert (place.member, place.entry) == (member, entry)


LOADED = {"handler.py": CLASS, "m.py": memory_archive.MODEL}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not hold a JSON object"),
        (b"\xff", "not JSON"),
        (b"[" * 9999, "not JSON"),
    ],
)
def test_class_names_that_cannot_be_read(text, words):
    extra = {**LOADED, "index_to_name.json": text}
    (finding,) = [f for f in found(extra, modelFile="m.py") if f.code != "MAR-R011"]
    assert (finding.code, finding.severity) == ("MAR-R009", Severity.ERROR)
    assert words in finding.message
    # A handler of its own may read it in its own way.
    (finding,) = found({"index_to_name.json": text})
    assert (finding.code, finding.severity) == ("MAR-R009", Severity.WARNING)


def test_class_names_that_can():
    for text in (b"{}", b'{"0": "cat"}', b'{"object_type_names": ["a"]}'):
        assert found({"index_to_name.json": text}) == []


def test_class_names_are_read_up_to_a_bound():
    longest = b"{".ljust(16 << 20)
    assert codes(found({"index_to_name.json": longest})) == ["MAR-R009"]
    assert codes(found({"index_to_name.json": longest + b" "})) == []


def vocabulary(extra=None, handler="text_classifier", **model):
    return list(check_ours(archive(extra, handler=handler, **model)))


def test_a_text_handler_needs_a_vocabulary():
    (finding,) = vocabulary()
    assert finding.code == "MAR-R010"
    assert "tokenizer.json" in (finding.hint or "")
    assert vocabulary({"vocab.txt": b"a"}) == []
    assert vocabulary(handler="handler.py") == []
    assert vocabulary({"text_classifier.py": b""}) == []
    (finding,) = vocabulary({"vocab.txt": b"a"}, sourceVocab="words.pt")
    assert "'words.pt'" in finding.message
    config = {"model-config.yaml": b"handler:\n  vocabulary: words.txt\n", "words.txt": b"a"}
    assert vocabulary(config, configFile="model-config.yaml") == []


def test_there_must_be_something_to_load():
    assert codes(found(handler="image_classifier")) == ["MAR-R007"]
    assert codes(found({"handler.py": CLASS})) == ["MAR-R007"]
    assert codes(found({"handler.py": memory_archive.HANDLER})) == []
    own = CLASS.replace(b"pass", b"def initialize(self, context): self.model = None")
    assert codes(found({"handler.py": own})) == []
    alone = found({"handler.py": CLASS, "m.py": memory_archive.MODEL}, modelFile="m.py")
    assert [(f.code, f.severity) for f in alone] == [("MAR-R011", Severity.WARNING)]
