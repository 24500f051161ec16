"""Which modules an archive's code imports, as its text shows."""

from __future__ import annotations

import pytest
from handlerdirs import lay_out

from mar_core import open_archive
from mar_core.checks.subject import Subject
from mar_core.reports.doctor.archive import imports_of

ALWAYS, PERHAPS = True, False
HANDLE = "\ndef handle(data, context):\n    return data\n"


def found(folder, files, **model):
    lay_out(folder, files, **model)
    with open_archive(folder) as archive:
        return [(i.module, i.member, i.line, i.certain) for i in imports_of(Subject(archive))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import absent", [("absent", ALWAYS)]),
        ("import absent.deep as short", [("absent.deep", ALWAYS)]),
        ("from absent import name", [("absent", ALWAYS)]),
        ("import absent, other", [("absent", ALWAYS), ("other", ALWAYS)]),
        ("import json, os.path", []),
        ("def later():\n    import absent", [("absent", PERHAPS)]),
        ("class A:\n    import absent", [("absent", ALWAYS)]),
        ("class A:\n    def m(self):\n        import absent", [("absent", PERHAPS)]),
        ("with open(__file__):\n    import absent", [("absent", ALWAYS)]),
        ("for i in ():\n    import absent", [("absent", PERHAPS)]),
        ("import sys\nif sys.argv:\n    import absent\nelse:\n    import other",
         [("absent", PERHAPS), ("other", PERHAPS)]),
        ("match 1:\n    case 1:\n        import absent", [("absent", PERHAPS)]),
        ("if __name__ == '__main__':\n    import absent", []),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import absent", []),
        ("try:\n    import absent\nexcept ImportError:\n    import other", []),
        ("try:\n    import absent\nexcept:\n    absent = None", []),
        ("try:\n    import absent\nexcept (OSError, ModuleNotFoundError):\n    pass", []),
        ("try:\n    import absent\nexcept ValueError:\n    import other",
         [("absent", ALWAYS), ("other", PERHAPS)]),
        ("try:\n    pass\nfinally:\n    import absent", [("absent", ALWAYS)]),
    ],
)  # fmt: skip
def test_one_file(tmp_path, text, expected):
    got = found(tmp_path / "m", {"handler.py": text + HANDLE})
    assert [(module, certain) for module, _, _, certain in got] == expected


def test_the_archives_own_modules_are_followed(tmp_path):
    got = found(
        tmp_path / "m",
        {
            "handler.py": "import utils\nfrom shapes.round import Circle\nimport json" + HANDLE,
            "utils.py": "import one",
            "shapes/__init__.py": "from . import square",
            "shapes/square.py": "import two",
            "shapes/round.py": "from ..shapes.square import X\nimport three",
            "json.py": "import never",  # the standard library cannot be shadowed
            "unused.py": "import never",
        },
    )
    places = {(module, member): line for module, member, line, _ in got}
    assert places == {("one", "utils.py"): 1, ("two", "shapes/square.py"): 1,
                      ("three", "shapes/round.py"): 2}  # fmt: skip


def test_what_is_imported_late_makes_the_rest_uncertain(tmp_path):
    files = {"handler.py": "def f():\n    import utils" + HANDLE, "utils.py": "import absent"}
    assert found(tmp_path / "m", files) == [("absent", "utils.py", 1, PERHAPS)]


def test_a_folder_without_init_gives_way_to_an_installed_package(tmp_path):
    files = {"handler.py": "import pytest.mine\nimport mine.deep" + HANDLE,
             "pytest/mine.py": "import never", "mine/deep.py": "import absent"}  # fmt: skip
    got = found(tmp_path / "m", files)
    assert [(module, member) for module, member, _, _ in got] == [
        ("pytest.mine", "handler.py"),
        ("absent", "mine/deep.py"),
    ]


def test_the_model_file_counts_too(tmp_path):
    files = {"handler.py": HANDLE, "net.py": "import absent\nimport net"}
    assert found(tmp_path / "m", files, modelFile="net.py") == [("absent", "net.py", 1, ALWAYS)]


def test_a_file_that_is_no_python_is_left_to_the_rules(tmp_path):
    assert found(tmp_path / "m", {"handler.py": "import (" + HANDLE}) == []
