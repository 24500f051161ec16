"""Code: what the handler and the model file must define, and what may not run by itself."""

from __future__ import annotations

import importlib
import json
import sysconfig
import tempfile
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
import weightsfiles
from hypothesis import given
from hypothesis import strategies as st
from memory_archive import HANDLER, MODEL, MemoryArchive, archive, codes, manifest

from mar_core import Severity
from mar_core.checks.rules import mar_validate_archive as check
from mar_core.handlers.lookup import module_member

BASE = "from ts.torch_handler.base_handler import BaseHandler\n"
ONE_CLASS = f"{BASE}class H(BaseHandler):\n    pass\n"
HANDLERS = {
    "a function": "def handle(data, context):\n    return data\n",
    "an async function": "async def handle(data, context):\n    return data\n",
    "an imported function": "from helpers import handle\n",
    "an assigned function": "handle = print\n",
    "a class": ONE_CLASS,
    "a class of its own": "class H:\n    def handle(self, data, context): ...\n",
    "handle set in __init__": "class H:\n    def __init__(self):\n        self.handle = print\n",
    "a class and a base of another package": "from mine import Base\nclass H(Base):\n    pass\n",
    "a handler in a branch": f"try:\n    import x\nexcept ImportError:\n    x = None\n{ONE_CLASS}",
    "everything of another module": "from helpers import *\n",
    "an alias of the base": "import ts.torch_handler.base_handler as b\n"
    "class H(b.BaseHandler): ...\n",
}
NO_HANDLERS = {
    "nothing": ("", "MAR-C005"),
    "only imports": ("import torch\n", "MAR-C005"),
    "a class without handle": ("class H:\n    pass\n", "MAR-C005"),
    "another function": ("def predict(data, context): ...\n", "MAR-C005"),
    "two handlers": (f"{ONE_CLASS}class G(BaseHandler):\n    pass\n", "MAR-C005"),
    "only when run as a script": ("if __name__ == '__main__':\n    handle = 1\n", "MAR-C005"),
    "a helper beside it": (f"{ONE_CLASS}class Helper:\n    pass\n", "MAR-C006"),
    "two that may be": ("from x import Y\nclass H(Y): ...\nclass G(Y): ...\n", "MAR-C006"),
    "an enumeration beside it": (f"import enum\n{ONE_CLASS}class E(enum.Enum): ...\n", "MAR-C006"),
    "no Python": ("def handle(:\n", "MAR-C001"),
    "Python 2": ("print 'x'\n", "MAR-C001"),
    "nested without end": ("x = " + "(" * 5000, "MAR-C001"),
    "a NUL": ("x = 1\x00\n", "MAR-C001"),
    "too many words": ("x\n" * 250_001, "MAR-C009"),
    "too long": ("#" * ((4 << 20) + 1), "MAR-C009"),
}  # fmt: skip
MODELS = {
    "a network": MODEL.decode(),
    "nn": "import torch.nn as nn\nclass N(nn.Module):\n    pass\n",
    "from torch": "from torch import nn\nclass N(nn.Module):\n    pass\n",
    "of torchvision": "from torchvision.models.resnet import ResNet\nclass N(ResNet):\n    pass\n",
    "a base of another package": "from mine import Base\nclass N(Base):\n    pass\n",
    "everything of another module": "from nets import *\n",
}
NO_MODELS = {
    "no class": ("x = 1\n", "MAR-C003"),
    "no network": ("class N:\n    pass\n", "MAR-C003"),
    "two networks": (f"{MODEL.decode()}\nclass M(torch.nn.Module):\n    pass\n", "MAR-C003"),
    "a block and a network": (f"{MODEL.decode()}\nclass Options:\n    pass\n", "MAR-C004"),
    "no Python": ("class N(:\n", "MAR-C001"),
}


def found(source: str, handler: str = "h.py"):
    return list(check(archive({"h.py": source.encode()}, handler=handler)))


@pytest.fixture(scope="module")
def weights():
    return weightsfiles.state_dict()


@pytest.mark.parametrize("source", HANDLERS.values(), ids=HANDLERS)
def test_a_handler(source, weights):
    files = {"h.py": source.encode(), "model.py": MODEL, "w.pt": weights}
    model = {"handler": "h.py", "modelFile": "model.py", "serializedFile": "w.pt"}
    assert codes(check(archive(files, **model))) == []


@pytest.mark.parametrize(("source", "code"), NO_HANDLERS.values(), ids=NO_HANDLERS)
def test_what_is_no_handler(source, code):
    assert codes(found(source), ignore=("MAR-R007",)) == [code]  # there are no weights


def test_a_handler_that_is_no_source_is_not_read_as_python():
    assert codes(check(archive({"h.pyc": b"\0\1"}, handler="h"))) == ["MAR-C007"]
    data = json.loads(manifest(handler="h.py"))
    data["runtime"] = "LSP"
    files = {"MAR-INF/MANIFEST.json": json.dumps(data).encode(), "h.py": b"def handle("}
    assert codes(check(MemoryArchive(files))) == ["MAR-M007", "MAR-C002"]


def test_a_signature_that_cannot_be_read_is_pointed_at():
    (finding,) = found(f"{HANDLERS['a function']}signature = 1\n")
    assert (finding.code, finding.member) == ("MAR-C011", "h.py")
    (finding,) = found(f"{HANDLERS['a class of its own']}    signature = {{'inputs': 1}}\n")
    assert (finding.code, finding.member) == ("MAR-C011", "h.py")


def test_what_is_named_behind_the_colon():
    two = f"{ONE_CLASS}class G:\n    def handle(self, d, c): ...\ndef predict(d, c): ...\n"
    assert codes(found(two, "h.py:predict")) == []
    (finding,) = found(two, "h.py:G")
    assert (finding.code, finding.severity.value) == ("MAR-C006", "warning")
    assert codes(found("class H:\n    pass\n", "h.py:H")) == ["MAR-C005"]
    (finding,) = found("def handle(d, c): ...\n", "h.py:predict")
    assert "no predict" in finding.message


@pytest.mark.parametrize("source", MODELS.values(), ids=MODELS)
def test_a_model_file(source, weights):
    files = {"m.py": source.encode(), "w.pt": weights}
    model = {"handler": "base_handler", "modelFile": "m.py", "serializedFile": "w.pt"}
    assert codes(check(archive(files, **model))) == []


@pytest.mark.parametrize(("source", "code"), NO_MODELS.values(), ids=NO_MODELS)
def test_what_is_no_model_file(source, code, weights):
    files = {"m.py": source.encode(), "w.pt": weights}
    model = {"handler": "base_handler", "modelFile": "m.py", "serializedFile": "w.pt"}
    assert codes(check(archive(files, **model))) == [code]


def test_a_handler_that_loads_its_model_itself_may_have_any_model_file(weights):
    own = f"{BASE}class H(BaseHandler):\n    def initialize(self, c):\n        self.model = None\n"
    files = {"h.py": own.encode(), "m.py": b"class A: ...\nclass B: ...\n", "w.pt": weights}
    model = {"handler": "h.py", "modelFile": "m.py", "serializedFile": "w.pt"}
    assert codes(check(archive(files, **model))) == ["MAR-C004"]


def test_other_files_are_looked_at_too():
    (finding,) = check(archive({"pkg/broken.py": b"def ("}))
    assert (finding.code, finding.severity.value) == ("MAR-C002", "warning")
    assert finding.member == "pkg/broken.py"


def test_other_files_are_looked_at_while_they_are_few_and_small():
    broken = b"def (#".ljust(1 << 20)
    assert codes(check(archive({"a.py": broken}))) == ["MAR-C002"]
    assert codes(check(archive({"a.py": broken + b"#"}))) == []
    assert codes(check(archive({"a.py": b"1", "b.py": broken}))) == []
    assert codes(check(archive({"a.py": b"x\n" * 250_001}))) == []


@pytest.mark.parametrize(
    "name",
    ["sitecustomize.py", "usercustomize.py", "sitecustomize/__init__.py", "sitecustomize.so",
     "sitecustomize.cpython-311-x86_64-linux-gnu.so", "__pycache__/handler.cpython-311.pyc",
     "__pycache__/handler.kernel-1.py311.nbi", "handler.pyc", "pkg/x.pyo"],
)  # fmt: skip
def test_what_would_run_before_or_in_place_of_the_handler(name):
    assert codes(check(archive({name: b""}))) == ["MAR-C007"]


@pytest.mark.parametrize(
    "name", ["json.py", "torch.py", "numpy/__init__.py", "code/__init__.py", "ts/context.py"]
)
def test_a_file_that_takes_the_name_of_a_library_is_a_warning(name):
    (finding,) = check(archive({name: b""}))
    assert (finding.code, finding.severity.value) == ("MAR-C008", "warning")


def test_a_library_is_named_once():
    taken = {"ts/context.py": b"", "ts/metrics.py": b"", "json.py": b"", "json/__init__.py": b""}
    found = [one for one in check(archive(taken)) if one.code == "MAR-C008"]
    assert [one.member for one in found] == ["ts/context.py", "json.py"]


@pytest.mark.parametrize(
    "name",
    [
        "test.py",
        "sitecustomize.txt",
        "utils.py",
        "pkg/json.py",
        "json.txt",
        "torch.md",
        "code/inference.py",
    ],
)
def test_other_names_are_free(name):
    assert codes(check(archive({name: b""}))) == []


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_the_rules_raise(raw):
    for finding in check(archive({"handler.py": HANDLER, "h.py": raw}, handler="h.py")):
        assert finding.hint


ONE_MODULE = {
    "a package beside the handler": ("handler.py", "handler/__init__.py"),
    "an extension beside the handler": ("handler.py", "handler.so"),
    "a tagged extension": ("handler.py", "handler.cpython-311-x86_64-linux-gnu.so"),
    "an extension of the limited API": ("handler.py", "handler.abi3.so"),
    "an extension for Windows": ("handler.py", "handler.cp311-win_amd64.pyd"),
    "a package of an extension": ("handler.py", "handler/__init__.so"),
    "two forms of a package": ("pkg/__init__.py", "pkg/__init__.abi3.so"),
    "a package beside an extension": ("fast.so", "fast/__init__.py"),
    "a helper in a folder": ("pkg/__init__.py", "pkg/helper.py", "pkg/helper/__init__.py"),
    "case": ("Helper.py", "helper/__init__.py"),
    "a Unicode form": ("he\u0301.py", "h\u00e9/__init__.py"),
}
TWO_MODULES = {
    "a folder of data": ("handler.py", "handler/labels.txt"),
    "a folder without __init__": ("handler.py", "handler/more.py"),
    "extensions for two systems": ("fast.cpython-311-darwin.so", "fast.cpython-311-linux.so"),
    "one name in two folders": ("a/__init__.py", "a/x.py", "b/__init__.py", "b/x.so"),
    "weights": ("model.pt", "model.py"),
    "a dot in the name": ("handler.v2.py", "handler/__init__.pyi"),
}


@pytest.mark.parametrize("names", ONE_MODULE.values(), ids=ONE_MODULE)
def test_a_module_in_two_files_is_refused(names):
    found = list(check(archive(dict.fromkeys(names, HANDLER))))
    twins = [one for one in found if one.code == "MAR-C010"]
    assert twins
    assert twins[0].member in names
    assert all(len(twins[0].member) <= len(name) for name in names if name in twins[0].message)


@pytest.mark.parametrize("names", TWO_MODULES.values(), ids=TWO_MODULES)
def test_modules_of_their_own_are_taken(names):
    found = check(archive(dict.fromkeys(names, HANDLER)))
    assert "MAR-C010" not in codes(found)


NAMES = st.sampled_from(
    [
        f"{folder}{stem}{ending}"
        for folder in ("", "a/", "b/")
        for stem in ("a", "b", "__init__")
        for ending in (".py", ".so", ".abi3.so", sysconfig.get_config_var("EXT_SUFFIX"), ".txt")
    ]
)


@given(st.sets(NAMES, min_size=1, max_size=6))
def test_what_is_looked_up_is_what_python_imports(names):
    found = check(archive(dict.fromkeys(names, HANDLER)))
    if "MAR-C010" in codes(found):
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.touch()
        importlib.invalidate_caches()
        for module in ("a", "b", "a.a", "a.b", "b.a", "b.b"):
            *packages, last = module.split(".")
            spec = PathFinder.find_spec(last, [str(Path(folder, *packages))])
            imported = spec.origin if spec and spec.loader and spec.has_location else None
            member = module_member(module, names)
            if imported is not None and imported.endswith(".py"):
                assert str(Path(folder, member)) == imported
            else:
                assert member is None


BINARY = {
    "weights": bytes(range(256)) * 40,
    "large": bytes(range(256)) * 40_000,
    "UTF-16": "class Net: pass".encode("utf-16"),
}


@pytest.mark.parametrize("content", BINARY.values(), ids=BINARY)
def test_a_model_file_that_is_no_text_is_told_so(content):
    found = check(archive({"net.py": content}, modelFile="net.py"))
    (finding,) = (f for f in found if f.code.startswith("MAR-C"))
    assert finding.code == "MAR-C001"
    assert finding.message == "The file is binary, not Python."
    assert "--serialized-file" in (finding.hint or "")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("x = 1", "The file defines no class.", "Define the network there"),
        ("class A: ...", "No class of the file is a torch.nn.Module: A.", "Derive the network"),
        (
            "from torch import nn\nclass A(nn.Module): ...\nclass B(nn.Module): ...",
            "The file defines 2 networks: A, B.",
            "Move the others",
        ),
    ],
)
def test_each_fault_of_a_model_file_has_its_own_remedy(text, message, hint):
    files = {"net.py": text.encode(), "handler.py": BY_BASE_HANDLER}
    found = check(archive(files, modelFile="net.py"))
    (finding,) = [one for one in found if one.code != "MAR-R011"]
    assert (finding.code, finding.message) == ("MAR-C003", message)
    assert (finding.hint or "").startswith(hint)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "from torchvision.models import resnet18",
            "`class Network(torch.nn.Module):`, and in it `def __new__(cls): return resnet18()`.",
        ),
        (
            "import torch\nfrom torch import nn\ndef make():\n    return nn.Linear(2, 2)\n",
            "`def __new__(cls): return make()`.",
        ),
        ("from nets import Net", "Write a class of its own below the import: `class Network(Net):"),
        ("import os, torch\nfrom os.path import join\nfrom nets import Net", "Network(Net): pass`"),
        ("from torchvision.models import resnet18, resnet50", "return what_makes_it()`"),
    ],
)
def test_a_model_file_that_only_imports_is_told_the_class_to_write(text, hint):
    files = {"net.py": text.encode(), "handler.py": BY_BASE_HANDLER}
    found = check(archive(files, modelFile="net.py"))
    (finding,) = [one for one in found if one.code == "MAR-C003"]
    assert finding.message == "The file defines no class."
    assert hint in (finding.hint or "")


BY_BASE_HANDLER = (
    b"from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler):\n    pass\n"
)


@pytest.mark.parametrize(
    "other",
    [
        "handler/__init__.py", "handler.so", "handler.abi3.so", "handler.pyd",
        "handler.cpython-311-x86_64-linux-gnu.so",
    ],
)  # fmt: skip
def test_what_python_would_take_in_the_handlers_place(other):
    (finding,) = (f for f in check(archive({other: b""})) if f.code == "MAR-C010")
    assert finding.severity is Severity.ERROR
    assert other in finding.message


@pytest.mark.parametrize("other", ["pkg.py", "pkg.so", "Pkg.py", "pkg/deep.so"])
def test_what_python_would_take_in_place_of_the_handlers_folder(other):
    files = {"pkg/deep/inner.py": HANDLER, other: b""}
    found = check(archive(files, handler="pkg/deep/inner.py"))
    (finding,) = (f for f in found if f.code == "MAR-C010")
    assert finding.severity is Severity.ERROR
    packages = {"pkg/__init__.py": b"", "pkg/deep/__init__.py": b"", "pkg/deep/inner.py": HANDLER}
    assert "MAR-C010" not in codes(check(archive(packages, handler="pkg/deep/inner.py")))


def test_twins_that_nobody_names_are_a_warning():
    files = {"utils.py": b"", "utils/__init__.py": b"", "a/b.py": b"", "b.py": b"", "c/x.py": b""}
    (finding,) = (f for f in check(archive(files)) if f.code == "MAR-C010")
    assert finding.severity is Severity.WARNING
