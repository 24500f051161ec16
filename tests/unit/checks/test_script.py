"""The ``# /// script`` block of PEP 723 at the top of a handler."""

from __future__ import annotations

import pytest
from memory_archive import archive, codes

from mar_core.checks.requirements import ScriptError, read_requirements, read_script
from mar_core.checks.rules import mar_validate_archive as check
from mar_core.checks.subject import Subject

BLOCK = """\
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "numpy<2",
#
#   "rich",
# ]
# ///
"""
HANDLER = "\n\ndef handle(data, context):\n    return data\n"


def test_a_block_is_read_as_the_standard_has_it():
    for text in (BLOCK, f"import x\n{BLOCK}", BLOCK.replace("\n", "\r\n")):
        found = read_script(text + HANDLER)
        assert (found.dependencies, found.requires_python) == (("numpy<2", "rich"), ">=3.11")
    assert read_script(HANDLER) is None
    assert read_script("# /// script\n# x = 1\n") is None  # never closed: a comment
    assert read_script("x = '# /// script'\n") is None
    assert read_script("# /// script\n# x = 1\n\n# ///\n") is None  # nor with a gap
    assert read_script("# /// script\n#x = 1\n# ///\n") is None
    assert read_script("# /// script\n\n" + BLOCK).dependencies == ("numpy<2", "rich")
    assert read_script(BLOCK.removesuffix("\n")).dependencies == ("numpy<2", "rich")
    assert read_script(f"    {BLOCK}") is None
    short = BLOCK.replace('# requires-python = ">=3.11"\n', "")
    assert read_script(short).requires_python is None


WRONG = {
    "two": BLOCK + "\n" + BLOCK,
    "no TOML": "# /// script\n# a = [\n# ///\n",
    "no list": '# /// script\n# dependencies = "numpy"\n# ///\n',
    "no strings": "# /// script\n# dependencies = [1]\n# ///\n",
    "long": f"# /// script\n# x = '{'x' * (64 << 10)}'\n# ///\n",
    "no string": "# /// script\n# requires-python = 3\n# ///\n",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_block_that_is_wrong_is_a_warning(text):
    with pytest.raises(ScriptError, match="script"):
        read_script(text)
    found = list(check(archive({"handler.py": (text + HANDLER).encode()})))
    assert codes(found) == ["MAR-Q006"]
    assert found[0].member == "handler.py"


def test_it_stands_for_requirements_only_where_there_is_no_file_of_them():
    files = {"handler.py": (BLOCK + HANDLER).encode(), "requirements.txt": b"torch\n"}
    lines = list(read_requirements(Subject(archive(files))))
    assert lines == [(1, "numpy<2"), (2, "rich")]
    lines = list(read_requirements(Subject(archive(files, requirementsFile="requirements.txt"))))
    assert lines == [(1, "torch")]


def test_what_it_lists_is_judged_like_a_file():
    text = BLOCK.replace("rich", "rich @ https://h/x.whl")
    (found,) = check(archive({"handler.py": (text + HANDLER).encode()}))
    assert (found.code, found.member) == ("MAR-Q002", "handler.py")
