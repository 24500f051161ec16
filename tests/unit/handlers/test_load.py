"""Every form in which a manifest names a handler, and the sentences where it cannot be loaded."""

# ruff: noqa: E501 - sentences are easier to read whole

from __future__ import annotations

import pytest
from handlerdirs import ask, context_of, lay_out, loaded

from mar_core import BaseHandler
from mar_core.errors import HandlerError, UsageError
from mar_core.format.manifest import Manifest
from mar_core.handlers.load import load_handler

ECHO = """
    def handle(data, context):
        return data

    def other(data, context):
        return ["other"] * len(data or ())

    class Service:
        def handle(self, data, context):
            return ["class"] * len(data)
"""
ONE_CLASS = """
    class Service:
        def handle(self, data, context):
            return ["class"] * len(data)
"""


def refusal(folder, files, **model):
    """The error that loading raises."""
    manifest, folder = lay_out(folder, files, **model)
    with pytest.raises(HandlerError) as caught:
        load_handler(manifest, folder)
    assert caught.value.stage == "load"
    return str(caught.value)


@pytest.mark.parametrize(
    ("named", "text", "answer"),
    [
        ("h", ECHO, ["x"]),
        ("h.py", ECHO, ["x"]),
        ("h:handle", ECHO, ["x"]),
        ("h:other", ECHO, ["other"]),
        ("h.py:other", ECHO, ["other"]),
        ("h:Service", ECHO, ["class"]),
        ("h.py:Service", ECHO, ["class"]),
        ("some/where/h.py", ECHO, ["x"]),
        ("h", ONE_CLASS, ["class"]),
        ("h:handle", ONE_CLASS, ["class"]),
        ("h:nothing", ONE_CLASS, ["class"]),
    ],
)
def test_forms(tmp_path, named, text, answer):
    with loaded(tmp_path / "m", {"h.py": text}, handler=named) as handler:
        assert ask(handler, ["x"]) == answer
        assert handler.name == named
        assert handler.distribution is None


def test_a_handler_in_a_folder(tmp_path):
    with loaded(tmp_path / "m", {"pkg/h.py": ECHO}, handler="pkg/h.py:other") as handler:
        assert ask(handler, ["x"]) == ["other"]


def test_a_package_as_handler(tmp_path):
    with loaded(tmp_path / "m", {"h/__init__.py": ECHO}, handler="h") as handler:
        assert ask(handler, ["x"]) == ["x"]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("class Options:\n pass\nclass H:\n def handle(self, data, context):\n  return ['H']", "H"),
        (
            (
                "import enum\nclass Kind(enum.Enum):\n A = 1\n"
                "class Base:\n def handle(self, data, context):\n  return [type(self).__name__]\n"
                "class Leaf(Base):\n pass"
            ),
            "Leaf",
        ),
    ],
)
def test_several_classes_of_which_one_is_meant(tmp_path, text, chosen):
    with loaded(tmp_path / "m", {"handler.py": text}) as handler:
        assert ask(handler, [1]) == [chosen]


def test_classes_that_are_only_imported_do_not_count(tmp_path):
    text = """
        from ts.torch_handler.base_handler import BaseHandler
        from pathlib import Path
        class Mine(BaseHandler):
            pass
    """
    with loaded(tmp_path / "m", {"handler.py": text}) as handler:
        assert type(handler.instance).__name__ == "Mine"
        assert isinstance(handler.instance, BaseHandler)


def test_a_function_is_called_without_data_once(tmp_path):
    text = """
        calls = []
        def handle(data, context):
            calls.append((data, context.model_name))
            return None if data is None else [len(calls)]
    """
    manifest, folder = lay_out(tmp_path / "m", {"handler.py": text})
    handler = load_handler(manifest, folder)
    context = context_of(manifest, folder)
    handler.initialize(context)
    assert ask(handler, [1], context=context) == [2]
    assert handler.instance.__globals__["calls"][0] == (None, "m")
    handler.close()


def test_handle_as_an_attribute_of_the_instance(tmp_path):
    text = """
        class H:
            def __init__(self):
                self.handle = lambda data, context: ["attribute"]
    """
    with loaded(tmp_path / "m", {"handler.py": text}) as handler:
        assert ask(handler, [1]) == ["attribute"]
        assert handler.initialize is None
        assert not handler.staged


def test_registered_handlers(tmp_path):
    with loaded(tmp_path / "m", {}, handler="base_handler") as handler:
        assert type(handler.instance) is BaseHandler
        assert handler.distribution == "mar-core"
        assert handler.version
        assert handler.staged
        assert handler.independent


def test_a_file_of_the_archive_comes_before_a_registered_handler(tmp_path):
    with loaded(tmp_path / "m", {"base_handler.py": ECHO}, handler="base_handler") as handler:
        assert ask(handler, ["x"]) == ["x"]
        assert handler.distribution is None


def test_a_class_of_an_installed_package(tmp_path):
    named = "builtin_handlers.base_handler:BaseHandler"
    with loaded(tmp_path / "m", {}, handler=named) as handler:
        assert type(handler.instance) is BaseHandler


def test_stages(tmp_path):
    base = "from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler):\n"
    for text, staged, independent in [
        ("  pass", True, True),
        ("  def postprocess(self, data):\n    return data", True, False),
        ("  stages_independent = True\n  def inference(self, data):\n    return data", True, True),
        ("  def handle(self, data, context):\n    return data", False, False),
        ("  async def inference(self, data):\n    return data", False, False),
        ("  stages_independent = False", True, False),
    ]:
        with loaded(tmp_path / "m", {"handler.py": base + text}) as handler:
            assert (handler.staged, handler.independent) == (staged, independent), text


def test_async_handlers_keep_one_loop_also_inside_another(tmp_path):
    import asyncio

    text = """
        import asyncio
        class H:
            async def initialize(self, context):
                self.loop = asyncio.get_running_loop()
            async def handle(self, data, context):
                await asyncio.sleep(0)
                return [self.loop is asyncio.get_running_loop()]
    """
    with loaded(tmp_path / "m", {"handler.py": text}) as handler:

        async def notebook():
            return ask(handler, [1])

        assert asyncio.run(notebook()) == [True]


def test_async_functions_fail_as_others_do(tmp_path):
    text = """
        async def handle(data, context):
            if data:
                raise ValueError("no")
    """
    files = {"handler.py": text}
    with loaded(tmp_path / "m", files) as handler, pytest.raises(ValueError, match="no"):
        ask(handler, [1])


def test_the_folder_is_the_current_one_while_loading(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = """
        from pathlib import Path
        AT_IMPORT = Path("labels.txt").read_text()
        class H:
            def initialize(self, context):
                self.at_start = Path("labels.txt").read_text()
            def handle(self, data, context):
                return [AT_IMPORT, self.at_start]
    """
    files = {"handler.py": text, "labels.txt": "cat"}
    with loaded(tmp_path / "m", files) as handler:
        assert ask(handler, [1]) == ["cat", "cat"]


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import nothing_like_it", "handler.py (line 1) needs the package nothing_like_it, which is not installed. Install the package that provides the module 'nothing_like_it'; its name may be another. If nothing_like_it is a file of yours"),
        ("x = 1\nimport cv2_missing.sub", "handler.py (line 2) needs the package cv2_missing"),
        ("from helper import x", "helper.py (line 1) needs the package nothing_either"),
        ("from helper2 import x", "handler.py (line 1): cannot import name 'x' from 'helper2'"),
        ("import torch.nothing", "handler.py (line 1) needs the module torch.nothing, which the installed torch does not have."),
        ("import shared.thing", "handler.py (line 1) needs the package shared.thing, which is not installed. Install the package that provides the module 'shared.thing'; its name may be another."),
        ("import shared.real.absent", "handler.py (line 1) needs the module shared.real.absent, which the installed shared.real does not have. Install another version of it."),
        ("import shared.inner.thing", "handler.py (line 1) needs the package shared.inner.thing, which is not installed."),
        ("import pkg.absent", "handler.py (line 1) needs the module pkg.absent, which is not in the archive. Archive the file of pkg.absent with --extra-files."),
        ("import folder.absent", "handler.py (line 1) needs the module folder.absent, which is not in the archive."),
        ("import helper2.absent", "handler.py (line 1) needs the module helper2.absent, which is not in the archive."),
        ("def handle(data, context)\n  pass", "handler.py is not Python at line 1: expected ':'."),
        ("import helper3", "helper3.py is not Python at line 2"),
        ("1 / 0", "handler.py (line 1) raised ZeroDivisionError while it was loaded: division by zero"),
        ("import sys\nsys.exit(3)", "handler.py (line 2) raised SystemExit while it was loaded: 3"),
        ("class H:\n def __init__(self, a):\n  pass\n def handle(self, d, c): pass", "TypeError"),
        ("class H:\n def __init__(self):\n  import nope_at_all\n def handle(self, d, c): pass", "handler.py (line 3) needs the package nope_at_all"),
        ("class H:\n pass", "H of the handler handler.py has no method handle."),
        ("x = 1", "handler.py defines no class and no function 'handle'. Define `def handle(data, context)`"),
        ("def predict(d, c): pass", "Name the function: `--handler handler.py:predict`."),
        ("class A:\n handle = len\nclass B:\n handle = len", "several classes and it is not clear which is the handler: A, B. Name it: `--handler handler.py:B`."),
        ("from token import Token", "token is Python's own; rename token.py"),
        ("import ts.launcher", "handler.py (line 1): mar does not have TorchServe's ts.launcher. Start the server with `mar serve`."),
        ("from ts.torch_handler.dali_handler import DALIHandler", "mar does not have TorchServe's ts.torch_handler.dali_handler. Derive from ImageClassifier"),
        ("from ts.handler_utils.distributed.pt_pippy import get_pipeline_driver", "by accelerate, DeepSpeed or torch.distributed."),
        ("import ts.nonsense", "mar does not have TorchServe's ts.nonsense. See the list"),
        ("from ts.utils.util import nonsense", "cannot import name 'nonsense' from 'ts.utils.util': mar does not have that name of TorchServe's."),
    ],
)  # fmt: skip
def test_code_that_does_not_load(tmp_path, monkeypatch, text, sentence):
    # A folder that distributions share, as google and nvidia are.
    for name in ("real/__init__.py", "inner/other.py"):
        path = tmp_path / "site" / "shared" / name
        path.parent.mkdir(parents=True)
        path.write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    files = {
        "pkg/__init__.py": "",
        "folder/there.py": "",
        "handler.py": text,
        "helper.py": "import nothing_either",
        "helper2.py": "",
        "helper3.py": "x = 1\nimport",
        "token.py": "class Token: pass",
    }
    assert sentence in refusal(tmp_path / "m", files)


def test_missing_packages_are_installed_as_the_archive_lists_them(tmp_path):
    text = refusal(
        tmp_path / "m",
        {"handler.py": "import nothing_like_it", "requirements.txt": ""},
        requirementsFile="requirements.txt",
    )
    assert "`pip install -r requirements.txt`, with the requirements.txt of the archive." in text


@pytest.mark.parametrize(
    ("module", "distribution"),
    [("dotenv", "python-dotenv"), ("fitz", "pymupdf"), ("spacy", "spacy")],
)
def test_packages_are_called_as_they_are_installed(tmp_path, module, distribution):
    text = refusal(tmp_path / "m", {"handler.py": f"import {module}"})
    assert f"`pip install {distribution}`" in text


@pytest.mark.parametrize("module", ["bs4_", "clip", "mms", "my_utils"])
def test_a_module_whose_distribution_is_not_known_is_named_alone(tmp_path, module):
    text = refusal(tmp_path / "m", {"handler.py": f"import {module}"})
    assert f"the module '{module}'; its name may be another" in text
    assert "pip install" not in text


def test_a_module_of_the_archive_that_a_library_asks_for_is_not_to_be_installed(tmp_path):
    text = """
        import concurrent.futures, pkgutil
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(pkgutil.resolve_name, "helper").result()
    """
    said = refusal(tmp_path / "m", {"handler.py": text, "helper.py": ""})
    assert "needs the archive's own module helper" in said
    assert "pip install" not in said


def test_an_import_that_fails_in_initialize(tmp_path):
    text = """
        class H:
            def initialize(self, context):
                import nothing_like_it
            def handle(self, data, context):
                return data
    """
    manifest, folder = lay_out(tmp_path / "m", {"handler.py": text})
    handler = load_handler(manifest, folder)
    with pytest.raises(HandlerError, match="needs the package nothing_like_it") as caught:
        handler.initialize(context_of(manifest, folder))
    assert caught.value.stage == "initialize"
    handler.close()


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("nothing.py", "The archive has no file 'nothing.py', which its manifest names"),
        ("nothing.py:func", "The archive has no file 'nothing.py'"),
        ("image_clasifier", "There is no handler 'image_clasifier': no file image_clasifier.py in the archive, no registered handler and no installed module of that name. See the registered handlers with `mar plugins`. Did you mean 'image_classifier'"),
        ("nothing.like.it:Class", "There is no handler 'nothing.like.it:Class'"),
        ("vllm_handler", "mar does not have TorchServe's ts.torch_handler.vllm_handler. Call vllm in"),
        ("dali_image_classifier", "Use image_classifier."),
        ("h:Servic", "h.py has no 'Servic'; it defines Base, Service, helper. Did you mean h:Service?"),
        ("builtin_handlers.labels:Nothing", "builtin_handlers.labels has no 'Nothing'"),
    ],
)  # fmt: skip
def test_handlers_that_are_not_there(tmp_path, named, sentence):
    files = {"h.py": "class Service: pass\nclass Base: pass\ndef helper(): pass"}
    assert sentence in refusal(tmp_path / "m", files, handler=named)


def test_a_manifest_without_handler(tmp_path):
    assert "The manifest names no handler." in refusal(tmp_path / "m", {}, handler="")


def test_a_handler_of_a_distribution_that_is_not_installed(tmp_path):
    manifest, folder = lay_out(tmp_path / "m", {}, handler="acme_vision")
    shipped = {"handler": {"distribution": "acme-handlers", "version": "1.2"}}
    manifest = Manifest({**manifest.data, "mar": shipped})
    sentence = "comes with acme-handlers, which is not installed. Install it: `pip install acme-handlers==1.2`"
    with pytest.raises(HandlerError, match=sentence):
        load_handler(manifest, folder)


def test_an_unknown_envelope(tmp_path):
    manifest, folder = lay_out(tmp_path / "m", {"handler.py": ECHO})
    with pytest.raises(UsageError, match=r"no envelope 'nope'\. Choose one of body, json, kserve"):
        load_handler(manifest, folder, envelope="nope")
