"""Archives in one process do not see each other, nor the program's own modules, nor it theirs."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from handlerdirs import ask, lay_out, loaded

from mar_core.errors import HandlerError
from mar_core.handlers.load import load_handler


@pytest.fixture
def pair(tmp_path):
    """Two loaded archives with the same files, which tell who they are; made from a template."""
    with ExitStack() as stack:

        def make(files, **model):
            return [
                stack.enter_context(
                    loaded(
                        tmp_path / who,
                        {name: text.replace("WHO", who) for name, text in files.items()},
                        **model,
                    )
                )
                for who in ("one", "two")
            ]

        yield make


def answers(handlers):
    """What each says, asked in turns, so that each is asked after the other."""
    return [ask(handler, [{"data": 1}]) for handler in (*handlers, *handlers)]


HANDLER = """
    def handle(data, context):
        if data is None:
            return None
{}
"""


def body(code):
    return HANDLER.format("\n".join(f"        {line}" for line in code.strip().splitlines()))


@pytest.mark.parametrize(
    "code",
    [
        "import utils\nreturn [utils.NAME]",
        "from utils import NAME\nreturn [NAME]",
        "import importlib\nreturn [importlib.import_module('utils').NAME]",
        "from importlib import import_module\nreturn [import_module('utils').NAME]",
        "return [__import__('utils').NAME]",
        "import pkg.inner\nreturn [pkg.inner.NAME]",
        "import pkg.inner as inner\nreturn [inner.NAME]",
        "from pkg import inner\nreturn [inner.NAME]",
        "space = {}\nexec('from pkg.inner import *', space)\nreturn [space['NAME']]",
        "from pkg import lazy\nreturn [lazy()]",
        "import importlib\nreturn [importlib.import_module('pkg.inner').NAME]",
        "import importlib\nreturn [importlib.import_module('.inner', 'pkg').NAME]",
        "import loose.part\nreturn [loose.part.NAME]",
        "from loose import part\nreturn [part.NAME]",
        "import pickle, utils\nreturn [pickle.loads(pickle.dumps(utils.Thing())).name]",
        "import pickle\nreturn [pickle.loads(b'cutils\\nThing\\n(tR.').name]",
        "import pickle\nreturn [pickle.loads(b'cpkg.inner\\nNAME\\n.')]",
        "import pydoc\nreturn [pydoc.locate('utils.NAME')]",
        "import pydoc\nreturn [pydoc.locate('pkg.inner').NAME]",
        "import runpy\nreturn [runpy.run_path(__file__)['__name__'] and __import__('utils').NAME]",
    ],
)
def test_each_sees_its_own(pair, code):
    files = {
        "handler.py": body(code),
        "utils.py": "NAME = 'WHO'\nclass Thing:\n    name = NAME\n",
        "pkg/__init__.py": "def lazy():\n    from .inner import NAME\n    return NAME\n",
        "pkg/inner.py": "NAME = 'WHO'\n",
        "loose/part.py": "NAME = 'WHO'\n",
    }
    assert answers(pair(files)) == [["one"], ["two"], ["one"], ["two"]]


def test_the_programs_modules_stay_its_own(pair, monkeypatch, tmp_path):
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "utils.py").write_text("NAME = 'program'\n")
    (tmp_path / "program" / "later.py").write_text("NAME = 'program'\n")
    monkeypatch.syspath_prepend(tmp_path / "program")
    utils = importlib.import_module("utils")
    code = "import utils, later, importlib\n"
    code += "return [utils.NAME, later.NAME, importlib.import_module('utils').NAME]"
    handlers = pair(
        {"handler.py": body(code), "utils.py": "NAME = 'WHO'", "later.py": "NAME='WHO'"}
    )
    assert answers(handlers) == [["one"] * 3, ["two"] * 3, ["one"] * 3, ["two"] * 3]
    assert sys.modules["utils"] is utils
    assert importlib.import_module("later").NAME == "program"
    del sys.modules["utils"], sys.modules["later"]


def test_pickles_find_the_archives_class_even_where_the_program_has_one(
    pair, tmp_path, monkeypatch
):
    (tmp_path / "utils.py").write_text("NAME = 'program'\n")
    monkeypatch.syspath_prepend(tmp_path)
    utils = importlib.import_module("utils")
    code = "import pickle\nreturn [pickle.loads(b'cutils\\nNAME\\n.')]"
    handlers = pair({"handler.py": body(code), "utils.py": "NAME = 'WHO'"})
    assert answers(handlers) == [["one"], ["two"]] * 2
    assert sys.modules.pop("utils") is utils


def test_nothing_is_left_under_plain_names(pair):
    code = "import pickle\nreturn [pickle.loads(b'cutils\\nNAME\\n.')]"
    handlers = pair({"handler.py": body(code), "utils.py": "NAME = 'WHO'"})
    answers(handlers)
    assert "utils" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="No module named 'utils'"):
        importlib.import_module("utils")


def test_a_stand_in_that_was_kept_gives_way(pair, tmp_path, monkeypatch):
    """A library that remembers ``sys.modules`` entries gets the program's module afterwards."""
    code = "import pickle, sys\npickle.loads(b'cutils\\nNAME\\n.')\nreturn [sys.modules['utils']]"
    handlers = pair({"handler.py": body(code), "utils.py": "NAME = 'WHO'"})
    kept = ask(handlers[0], [{"data": 1}])[0]
    (tmp_path / "utils.py").write_text("NAME = 'program'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert kept.NAME == "program"
    del sys.modules["utils"]


def test_the_standard_library_is_not_shadowed(tmp_path):
    files = {
        "handler.py": body("import json, logging\nreturn [json.dumps([1]), logging.__name__]"),
        "json.py": "raise RuntimeError('shadowed')",
        "logging.py": "raise RuntimeError('shadowed')",
        "token.py": "raise RuntimeError('shadowed')",
    }
    with loaded(tmp_path / "m", files) as handler:
        assert ask(handler, [{}]) == ["[1]", "logging"]


def test_a_handler_may_have_a_name_of_the_standard_library(tmp_path):
    with loaded(
        tmp_path / "m", {"json.py": body("return [__name__]")}, handler="json.py"
    ) as handler:
        assert ask(handler, [{}]) == [f"{handler.code.package}.json"]


def test_installed_packages_are_found_and_a_data_folder_does_not_hide_them(tmp_path):
    files = {
        "handler.py": body(
            "import packaging.version\nreturn [packaging.version.Version('1').major]"
        ),
        "packaging/data.txt": "only data",
    }
    with loaded(tmp_path / "m", files) as handler:
        assert ask(handler, [{}]) == [1]


def test_a_file_of_the_archive_comes_before_an_installed_package(tmp_path):
    code = "import packaging\nreturn [packaging.NAME]"
    files = {"handler.py": body(code), "packaging.py": "NAME = 'mine'"}
    with loaded(tmp_path / "m", files) as handler:
        assert ask(handler, [{}]) == ["mine"]
    assert importlib.import_module("packaging").__name__ == "packaging"


def test_folders_put_on_the_path_are_the_archives_alone(pair):
    code = "import hidden\nreturn [hidden.NAME]"
    start = "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\n"
    text = start + inspect.cleandoc(body(code).replace("\n    ", "\n"))
    before = list(sys.path)
    handlers = pair({"handler.py": text, "lib/hidden.py": "NAME = 'WHO'"})
    assert answers(handlers) == [["one"], ["two"], ["one"], ["two"]]
    assert sys.path == before


def test_what_a_missing_module_is_called(tmp_path):
    code = "try:\n    import pkg.nothing\n"
    code += "except ModuleNotFoundError as error:\n    return [error.name]"
    with loaded(tmp_path / "m", {"handler.py": body(code), "pkg/__init__.py": ""}) as handler:
        assert ask(handler, [{}]) == ["pkg.nothing"]


def test_classes_work_as_in_any_module(tmp_path):
    files = {
        "handler.py": """
            from __future__ import annotations
            import dataclasses, inspect, pickle, sys, typing
            import shapes

            @dataclasses.dataclass
            class Point:
                count: typing.ClassVar[int] = 0
                x: int = 1

            class Handler:
                def handle(self, data, context):
                    again = pickle.loads(pickle.dumps(Point(5)))
                    return [
                        again == Point(5),
                        inspect.getsource(Point).splitlines()[0],
                        sorted(typing.get_type_hints(Point)),
                        sys.modules[__name__].Point is Point,
                        [field.name for field in dataclasses.fields(shapes.Circle)],
                    ]
        """,
        "shapes.py": """
            from __future__ import annotations
            from dataclasses import InitVar, dataclass

            @dataclass
            class Circle:
                r: float
                scale: InitVar[int] = 1
        """,
    }
    with loaded(tmp_path / "m", files, handler="handler.py:Handler") as handler:
        source = "@dataclasses.dataclass"
        assert ask(handler, [{}]) == [True, source, ["count", "x"], True, ["r"]]


def test_threads_that_a_handler_starts(pair):
    code = """
import threading, pickle
found = []
def work():
    import utils
    found.append(utils.NAME)
    found.append(pickle.loads(b'cutils\\nNAME\\n.'))
thread = threading.Thread(target=work)
thread.start()
thread.join()
return [found]
"""
    handlers = pair({"handler.py": body(code), "utils.py": "NAME = 'WHO'"})
    assert answers(handlers) == [[["one"] * 2], [["two"] * 2]] * 2


def test_many_threads_and_two_archives(pair):
    code = "import pickle, utils\nreturn [utils.NAME, pickle.loads(b'cutils\\nNAME\\n.')]"
    handlers = pair({"handler.py": body(code), "utils.py": "NAME = 'WHO'"})
    start = threading.Barrier(8)

    def work(number):
        start.wait()
        return {tuple(ask(handlers[number % 2], [{}])) for _ in range(30)}

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert found == [{("one", "one")}, {("two", "two")}] * 4
    assert "utils" not in sys.modules


def test_closing_forgets_and_frees_the_name(tmp_path):
    files = {"handler.py": body("return [__name__]")}
    with loaded(tmp_path / "m", files) as first:
        name = first.code.package
        with loaded(tmp_path / "m", files) as second:
            assert second.code.package != name
    assert not [module for module in sys.modules if module.startswith(name)]
    with loaded(tmp_path / "m", files) as again:
        assert again.code.package == name


def test_a_failed_load_leaves_nothing(tmp_path):
    manifest, folder = lay_out(tmp_path / "m", {"handler.py": "import utils", "utils.py": "1 / 0"})
    before = set(sys.modules)
    with pytest.raises(HandlerError):
        load_handler(manifest, folder)
    assert {name for name in set(sys.modules) - before if "mar_archives." in name} == set()


def test_edited_code_is_read_again(tmp_path):
    for text in ("one", "two"):
        with loaded(tmp_path / "m", {"handler.py": body(f"return ['{text}']")}) as handler:
            assert ask(handler, [{}]) == [text]
    assert not list(tmp_path.rglob("*.pyc"))


def test_sources_by_links_keep_their_real_names(tmp_path):
    """Breakpoints and tracebacks are at the user's own file; files beside it are the archive's."""
    sources = tmp_path / "project" / "code"
    sources.mkdir(parents=True)
    text = """
        from pathlib import Path
        def handle(data, context):
            if data is None:
                return None
            if data[0] == "beside":
                return [Path(__file__).with_name("labels.txt").read_text()]
            raise ValueError("here")
    """
    lay_out(sources, {"my_handler.py": text})
    (tmp_path / "project" / "labels.txt").write_text("cat")
    _, folder = lay_out(tmp_path / "m", {})
    (folder / "my_handler.py").symlink_to(sources / "my_handler.py")
    (folder / "labels.txt").symlink_to(tmp_path / "project" / "labels.txt")
    with loaded(folder, {}, handler="my_handler.py") as handler:
        assert ask(handler, ["beside"]) == ["cat"]
        with pytest.raises(ValueError, match="here") as caught:
            ask(handler, ["fail"])
        last = traceback.extract_tb(caught.value.__traceback__)[-1]
        assert last.filename == str((sources / "my_handler.py").resolve())
        assert last.line == 'raise ValueError("here")'
        assert handler.code.file_name(last.filename) == "my_handler.py"


def test_bytecode_beside_the_source_is_not_trusted(tmp_path):
    """A ``__pycache__`` in the archive could hold other code than the source that was validated."""
    files = {"handler.py": body("import utils\nreturn [utils.NAME]"), "utils.py": "NAME = 'good'"}
    manifest, folder = lay_out(tmp_path / "m", files)
    import py_compile

    (folder / "evil.py").write_text("NAME = 'evil'")
    cached = py_compile.compile(
        str(folder / "evil.py"),
        cfile=importlib.util.cache_from_source(str(folder / "utils.py")),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    assert cached
    handler = load_handler(manifest, folder)
    assert ask(handler, [{}]) == ["good"]
    handler.close()


def test_bytecode_without_source_runs(tmp_path):
    import py_compile

    manifest, folder = lay_out(
        tmp_path / "m", {"secret.py": body("import utils\nreturn [utils.N]")}
    )
    py_compile.compile(str(folder / "secret.py"), cfile=str(folder / "handler.pyc"))
    (folder / "secret.py").unlink()
    (folder / "utils.py").write_text("N = 5")
    handler = load_handler(manifest, folder)
    assert ask(handler, [{}]) == [5]
    handler.close()


def test_what_an_archive_pickles_can_be_read_back_by_the_next_load(tmp_path):
    files = {
        "handler.py": body("import pickle, utils\nreturn [pickle.dumps(utils.Thing())]"),
        "utils.py": "class Thing:\n    name = 'thing'",
    }
    with loaded(tmp_path / "m", files) as handler:
        raw = ask(handler, [{}])[0]
    with loaded(tmp_path / "m", files) as handler, handler.code.active():
        assert pickle.loads(raw).name == "thing"
