"""requirements.txt: what pip would take and an archive may not ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_archive import archive, codes

from mar_core import Severity
from mar_core.rules.book import check

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
}
FAULTS = {
    "UTF-16": ("numpy\n".encode("utf-16"), "MAR-Q001"),
    "a byte order mark": (b"\xef\xbb\xbfnumpy\n", "MAR-Q001"),
    "not UTF-8": (b"numpy\xff\n", "MAR-Q001"),
    "a coding comment": (b"# -*- coding: utf-7 -*-\nnumpy\n", "MAR-Q001"),
    "a control character": (b"numpy\x0b\x00\n", "MAR-Q001"),
    "a direction character": ("numpy\u202e\n".encode(), "MAR-Q001"),
    "a URL": (b"https://example.com/x-1.whl", "MAR-Q002"),
    "a file URL": (b"file:///tmp/x.whl", "MAR-Q002"),
    "a name at a URL": (b"x @ https://example.com/x.whl", "MAR-Q002"),
    "a name at a URL, tight": (b"x@https://example.com/x.whl", "MAR-Q002"),
    "git": (b"git+https://example.com/x.git", "MAR-Q002"),
    "a path": (b"./x", "MAR-Q002"),
    "a path upwards": (b"../x", "MAR-Q002"),
    "an absolute path": (b"/tmp/x", "MAR-Q002"),
    "a windows path": (b"C:\\x", "MAR-Q002"),
    "a wheel of nowhere": (b"x-1.0-py3-none-any.whl", "MAR-Q002"),
    "editable": (b"-e .", "MAR-Q003"),
    "editable, long": (b"--editable=.", "MAR-Q003"),
    "another file": (b"-r other.txt", "MAR-Q003"),
    "constraints": (b"-c other.txt", "MAR-Q003"),
    "an index": (b"--index-url https://example.com/simple", "MAR-Q003"),
    "a short index": (b"-i https://example.com/simple", "MAR-Q003"),
    "links": (b"--find-links https://example.com", "MAR-Q003"),
    "an insecure index": (b"--extra-index-url http://example.com/simple", "MAR-Q003"),
    "a trusted host": (b"--trusted-host example.com", "MAR-Q003"),
    "no index": (b"--no-index", "MAR-Q003"),
    "an option of a package": (b"numpy --global-option=x", "MAR-Q003"),
    "config settings": (b'numpy --config-settings "a=b"', "MAR-Q003"),
    "an option on the next line": (b"numpy \\\n  --global-option=x", "MAR-Q003"),
    "a variable": (b"numpy==${VERSION}", "MAR-Q005"),
    "a windows variable": (b"%HOME%", "MAR-Q005"),
    "two names": (b"numpy pillow", "MAR-Q006"),
    "a sign": (b"!!", "MAR-Q006"),
    "too large": (b"#" * ((1 << 20) + 1), "MAR-Q006"),
    "too many lines": (b"a\n" * 10_002, "MAR-Q001"),
}


def found(raw: bytes, extra: dict[str, bytes] | None = None):
    files = {"requirements.txt": raw, **(extra or {})}
    return list(check(archive(files, requirementsFile="requirements.txt")))


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_sound_requirements(text):
    assert codes(found(text.encode())) == []


@pytest.mark.parametrize(("raw", "code"), FAULTS.values(), ids=FAULTS)
def test_a_fault(raw, code):
    (finding,) = found(raw)
    assert finding.code == code
    assert finding.severity is Severity.ERROR


def test_a_fault_names_its_line():
    (finding,) = found(b"numpy\n# a comment\npillow \\\n  >= 1\n-e .\n")
    assert finding.message == "Line 5 gives pip an option."


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
        assert finding.code.startswith("MAR-Q")
        assert finding.member == "requirements.txt"


@given(st.text("abc-_.=<>~!@:/\\;'\"[](){}$%# \n,0123", max_size=60))
def test_whatever_passes_is_a_requirement_by_the_standard(text):
    from packaging.requirements import Requirement

    if found(text.encode()):
        return
    joined = text.replace("\\\n", "")
    for line in joined.splitlines():
        plain = line.partition("#")[0].strip()
        if plain:
            assert Requirement(plain).url is None
