"""Declarations are found in sources, and nothing is imported to find them."""

from __future__ import annotations

import sys

import pytest

from mar_core import archive, open_archive, read_signature, validate
from mar_core.signature.declared import declared

TAKES = '{"inputs": [{"name": "data", "type": "string"}]}'
BOTH = '{"inputs": [{"name": "n", "type": "int64"}], "outputs": [{"name": "m", "type": "bool"}]}'


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """An archive of a handler's source, made where it lies."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("import torch\n\nclass Net(torch.nn.Module): ...\n")

    def make(source, name="handler.py", **flags):
        if source is not None:
            (tmp_path / "handler.py").write_text(f"raise SystemExit\n{source}", encoding="utf-8")
        flags = {"model_file": "net.py", "version": "1.0", "force": True, **flags}
        return archive("m", handler=name, **flags)

    return make


def found_in(path):
    with open_archive(path) as opened:
        return validate(opened)


def shown(path):
    with open_archive(path) as opened:
        signature = read_signature(opened)
        assert (signature.to_dict() if signature else None) == opened.manifest.mar.get("signature")
    if signature is None:
        return None
    fields = (signature.inputs, signature.outputs)
    return ["; ".join(f"{one.name}: {one}" for one in some) for some in fields]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def handle(data, context): ...", None),
        (f"signature = {TAKES}\ndef handle(data, context): ...", ["data: string", ""]),
        (f"class H:\n    signature = {BOTH}\n    def handle(self): ...", ["n: int64", "m: bool"]),
        (f"class H:\n    signature: dict = {BOTH}\n    def handle(self): ...",
         ["n: int64", "m: bool"]),
        ("class H:\n    def signature(self): ...\n    def handle(self): ...", None),
        ("class H:\n    signature: dict\n    def handle(self): ...", None),
        ("class H:\n    def handle(self): ...", None),
    ],
)  # fmt: skip
def test_a_handler_of_the_archive(packed, source, found):
    assert shown(packed(source)) == found


GIVES = 'signature = {"outputs": [{"name": "digit", "type": "int64"}]}'
CLASSIFIER = "from ts.torch_handler.image_classifier import ImageClassifier\nclass H({}):\n    {}"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("topk = 1", ["data: image", "classes: {*: float32}"]),
        ("def postprocess(self, data): ...", ["data: image", ""]),
        ("def preprocess(self, data): ...", ["", "classes: {*: float32}"]),
        ("def handle(self, data, context): ...", None),
        ("signature = None", None),
        (f"{GIVES}\n    def postprocess(self, data): ...", ["data: image", "digit: int64"]),
    ],
)  # fmt: skip
def test_what_is_inherited_counts_as_far_as_it_is_not_overridden(packed, body, found):
    assert shown(packed(CLASSIFIER.format("ImageClassifier", body))) == found


def test_a_base_in_the_same_file_and_one_in_another(packed, tmp_path):
    source = CLASSIFIER.format("ImageClassifier", "topk = 1")
    source += "\nclass J(H):\n    def postprocess(self, data): ...\n"
    assert shown(packed(source, "handler.py:J")) == ["data: image", ""]
    (tmp_path / "base.py").write_text(f"raise SystemExit\nclass Base:\n    signature = {BOTH}\n")
    source = "from base import Base\nclass H(Base):\n    topk = 1"
    assert shown(packed(source, extra_files="base.py")) == ["n: int64", "m: bool"]


def test_a_base_by_its_public_name(packed):
    source = "from mar_core import VisionHandler\nclass H(VisionHandler):\n    topk = 1"
    assert shown(packed(source)) == ["data: image", ""]


def test_bases_that_go_in_a_circle(packed, tmp_path):
    (tmp_path / "base.py").write_text("from handler import H\nclass Base(H): ...\n")
    source = "from base import Base\nclass H(Base):\n    def handle(self): ..."
    assert shown(packed(source, extra_files="base.py")) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("image_classifier", ["data: image", "classes: {*: float32}"]),
        ("object_detector", ["data: image", "boxes: list of {score: float32, *: float32[4]}"]),
        ("image_segmenter", ["data: image", "classes: float32[*, *, 2] or image"]),
        ("vision_handler", ["data: image", ""]),
        ("densenet_handler", ["data: tensor[…]", "tensor: tensor[…]"]),
        ("base_handler", None),
    ],
)
def test_the_handlers_that_come_with_mar(packed, name, found):
    assert shown(packed(None, name)) == found


def test_texts(packed, tmp_path):
    (tmp_path / "vocab.txt").write_text("a\n")
    texts = {"extra_files": "vocab.txt"}
    found = shown(packed(None, "text_classifier", **texts))
    assert found == ["data: string", "classes: {*: float32}"]
    assert shown(packed(None, "text_handler", **texts)) == ["data: string", ""]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("make()", "The signature in line 2 is not written in plain values."),
        ("'serving_default'", "A signature is a dict with inputs and outputs."),
        ('{"inputs": [{"name": "x", "type": "picture"}]}', "inputs[0].type is 'picture'"),
    ],
)
def test_what_is_no_signature_is_a_warning_and_counts_as_none(packed, value, sentence):
    path = packed(f"signature = {value}\ndef handle(data, context): ...")
    assert shown(path) is None
    (warning,) = [one for one in found_in(path) if one.code == "MAR-C011"]
    assert sentence in warning.message
    assert warning.severity.name == "WARNING"


def test_other_things_of_that_name_are_no_declarations(packed):
    source = "class Key:\n    signature = 'abc'\ndef handle(data, context): ..."
    assert "MAR-C011" not in {one.code for one in found_in(packed(source))}


def test_what_the_manifest_keeps_comes_first(packed, tmp_path):
    from mar_core import Manifest, write_archive

    path = packed(f"signature = {TAKES}\ndef handle(data, context): ...")
    kept = {"outputs": [{"name": "kept", "type": "bool"}]}
    with open_archive(path) as opened:
        data = opened.manifest.data
        contents = {name: opened.read(name) for name in ("handler.py", "net.py")}
    for signature, found in ((kept, "kept"), ({"outputs": 7}, None)):
        other = Manifest({**data, "mar": {"signature": signature}})
        write_archive(other, contents, tmp_path / "other.mar", force=True)
        with open_archive(tmp_path / "other.mar") as opened:
            read = read_signature(opened)
            assert declared(opened, opened.manifest).inputs[0].name == "data"
        assert (read.outputs[0].name if read else None) == found
    (warning,) = [one for one in found_in(tmp_path / "other.mar") if one.code == "MAR-M009"]
    assert warning.message == "mar.signature: outputs is not a list of fields."


FUNCTIONS = """
def of_archive(archive, options):
    name = options.get("calls") or sorted(archive.members)[-1]
    return {"inputs": [{"name": name, "type": "string"}]}

def nothing(archive, options):
    return None

def wrong(archive, options):
    return {"inputs": 7}

def broken(archive, options):
    return options["none"]
"""


@pytest.fixture
def installed(tmp_path_factory, monkeypatch):
    """Handlers of a distribution that name a function for their signature."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "acme_signatures.py").write_text(FUNCTIONS)
    lines = ["raise SystemExit"]
    for name in ("of_archive", "nothing", "wrong", "broken", "missing"):
        lines += [f"class {name.title()}:", f"    signature = 'acme_signatures:{name}'",
                  "    def handle(self, data, context): ..."]  # fmt: skip
    (folder / "acme_handlers.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("acme_signatures", None)


def test_an_installed_handler_may_name_a_function_for_it(installed, packed, tmp_path):
    handler = "acme_handlers:Of_Archive"
    assert shown(packed(None, handler)) == ["net.py: string", ""]
    (tmp_path / "c.yaml").write_text("handler: {calls: words}")
    assert shown(packed(None, handler, config_file="c.yaml")) == ["words: string", ""]
    source = "from acme_handlers import Of_Archive\nclass H(Of_Archive):\n    topk = 1"
    assert shown(packed(source)) == ["net.py: string", ""]


@pytest.mark.parametrize("name", ["Nothing", "Wrong", "Broken", "Missing"])
def test_a_function_that_says_nothing_or_fails_counts_as_none(installed, packed, name):
    assert shown(packed(None, f"acme_handlers:{name}")) is None


def test_a_handler_of_an_archive_names_no_function(installed, packed, tmp_path):
    """It would run by being looked at."""
    source = "class H:\n    signature = 'acme_signatures:of_archive'\n    def handle(self): ..."
    path = packed(source)
    assert shown(path) is None
    assert "MAR-C011" in {one.code for one in found_in(path)}
    (tmp_path / "acme_signatures.py").write_text("raise SystemExit\n")
    path = packed(None, "acme_handlers:Of_Archive", extra_files="acme_signatures.py")
    assert shown(path) is None
