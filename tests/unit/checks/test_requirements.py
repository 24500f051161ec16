"""requirements.txt: what pip would take and an archive may not ask for."""

from __future__ import annotations

import pytest
from contentfaults import REQUIREMENTS
from hypothesis import given
from hypothesis import strategies as st
from memory_archive import archive, codes

from mar_core import Severity
from mar_core.checks.rules import mar_validate_archive as check

DIGEST = "0" * 64
SOUND = {
    "nothing": "",
    "a comment": "# none\n",
    "names": "numpy\npillow\nscikit-learn\n",
    "versions": "numpy==2.0.1\ntorch>=2.6,<3\nx ~= 1.0 # why\n",
    "extras": "uvicorn[standard]==0.30\n",
    "markers": "tomli; python_version < '3.11'\nx>=1 ; sys_platform == 'linux'\n",
    "hashes": f"numpy==2.0.1 \\\n    --hash=sha256:{DIGEST} \\\n    --hash=sha512:{DIGEST}\n",
    "windows line ends": "numpy\r\npillow\r\n",
    "a byte order mark": "\ufeffnumpy\n",
    "an encoding that is named too late": "numpy\n\n# -*- coding: utf-7 -*-\n",
}


def found(raw: bytes, extra: dict[str, bytes] | None = None):
    files = {"requirements.txt": raw, **(extra or {})}
    return list(check(archive(files, requirementsFile="requirements.txt")))


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_sound_requirements(text):
    assert codes(found(text.encode())) == []


@pytest.mark.parametrize(("raw", "code"), REQUIREMENTS.values(), ids=REQUIREMENTS)
def test_a_fault(raw, code):
    (finding,) = found(raw)
    assert finding.code == code
    assert finding.severity is Severity.WARNING, "mar installs nothing"


def test_a_fault_names_its_line():
    (finding,) = found(b"numpy\n# a comment\npillow \\\n  >= 1\n-e .\n")
    assert finding.message == "Line 5 gives pip an option."


def test_powershell_writes_utf_16():
    assert codes(found("numpy==2.0\r\npillow\r\n".encode("utf-16"))) == []


def test_what_torchserve_took_is_taken():
    text = """\
-i https://example.com/simple
-f https://example.com/wheels
-r other.txt
-e .
git+https://example.com/x.git
certifi @ file:///croot/certifi_1665076670883/work/certifi
mypackage==1.0.0-SNAPSHOT
numpy==2.0.1
"""
    findings = found(text.encode())
    assert {finding.severity for finding in findings} == {Severity.WARNING}
    assert [(f.code, f.message) for f in findings] == [
        ("MAR-Q003", "Lines 1, 2, 3 and 4 give pip options."),
        ("MAR-Q002", "Lines 5 and 6 name URLs or paths."),
        ("MAR-Q006", "Line 7 is not a requirement."),
    ]


def test_a_wrong_file_is_one_finding():
    readme = "\n".join(f"This is line {number} of a page about a model." for number in range(26))
    (finding,) = found(readme.encode())
    assert finding.message == "Lines 1, 2, 3, 4, 5 and 21 more are not requirements."


@pytest.mark.parametrize(
    "text",
    [
        "numpy" + " " * 200_000 + "x",
        " " * 200_000 + "#",
        "numpy" + " --hash" * 100_000,
        "x; " + "(" * 15_000,
        "x; " + "(" * 1_500 + ")" * 1_500,
        "#" + " " * 500_000,
        "https:" + "/" * 19_000,
        "a" * 900_000,
    ],
    ids=lambda text: text[:8],
)
def test_no_line_takes_long_or_too_deep(text):
    for finding in found(text.encode()):
        assert finding.code.startswith(("MAR-Q", "MAR-W"))  # any bytes may be a pickle, too


def test_another_index_is_a_warning_that_shows_the_line_without_its_password():
    (finding,) = found(b"--extra-index-url https://me:secret@example.com/simple\n")
    assert (finding.code, finding.severity) == ("MAR-Q004", Severity.WARNING)
    assert "https://…@example.com/simple" in finding.message
    assert "secret" not in str(finding)


def test_a_package_of_the_archive_is_a_warning():
    wheel = "x-1.0-py3-none-any.whl"
    (finding,) = found(wheel.encode(), {wheel: b"PK"})
    assert (finding.code, finding.severity) == ("MAR-Q007", Severity.WARNING)


def test_the_content_of_a_line_is_never_shown_when_it_is_refused():
    """``requirements -r /etc/passwd`` must not bring a file's lines into a report."""
    (finding,) = found(b"root:x:0:0:root:/root:/bin/bash\n")
    assert "root" not in str(finding)


@given(st.binary(max_size=120) | st.text(max_size=120).map(str.encode))
def test_no_bytes_make_the_rules_raise(raw):
    for finding in found(raw):
        assert finding.code.startswith(("MAR-Q", "MAR-W"))  # any bytes may be a pickle, too
        assert finding.member == "requirements.txt"


@given(st.text("abc-_.=<>~!@:/\\;'\"[](){}$%# \n,0123", max_size=60))
def test_whatever_passes_is_a_requirement_by_the_standard(text):
    from packaging.requirements import Requirement

    if found(text.encode()):
        return
    joined = text.replace("\\\n", "").rstrip("\\")  # the last line is continued by nothing
    for line in joined.splitlines():
        plain = line.partition("#")[0].strip()
        if plain:
            assert Requirement(plain).url is None


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        (b"numpy\xff\n", "Save the file as UTF-8."),
        (b"# coding: utf-7\nnumpy\n", "Remove the comment."),
        (b"numpy\x00\n", "Remove them."),
        (b"a\n" * 10_001, "Leave out what the model does not need."),
    ],
)
def test_a_file_that_is_no_plain_text_has_the_remedy_of_its_fault(raw, hint):
    (finding,) = found(raw)
    assert (finding.code, finding.hint) == ("MAR-Q001", hint)
