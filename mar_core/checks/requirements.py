"""requirements.txt: names, versions, markers and hashes; nothing that leads elsewhere.

pip takes far more from such a file: options, URLs, paths, other files, environment variables.
Whoever installs the requirements of an archive would hand its author all of that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mar_core.checks.table import finding
from mar_core.findings import printable

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding

__all__ = ["read_requirements", "requirement_findings"]

_MAX_BYTES = 1 << 20
_MAX_LINES = 10_000
_MAX_SHOWN = 200
_PASSWORD = re.compile(r"://[^/@\s]*@")
_CODING = re.compile(r"^[ \t\f]*#.*?coding[:=]")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASH = re.compile(r"\s--hash(?:=|\s+)(?:sha256|sha384|sha512):[0-9a-fA-F]+")
_VARIABLE = re.compile(r"\$\{[A-Za-z0-9_]+\}|%[A-Za-z0-9_]+%")
_SECURE_INDEX = re.compile(r"--extra-index-url(?:=|\s+)https://\S+")
_PACKAGE = re.compile(r"[\w.+-]+\.(?:whl|zip|tar\.gz|tgz)", re.IGNORECASE)
_PLACE = re.compile(r"[/\\]|^\.|^[A-Za-z][\w+.-]*:|\s@\s|^[\w.-]+(?:\[[^\]]*\])?@")


def requirement_findings(subject: Subject) -> Iterator[Finding]:
    """What is wrong with the requirements.

    Args:
        subject: The archive.
    """
    name = subject.manifest.requirements_file
    fault = _fault(subject)
    if fault is not None:
        yield fault
    for number, line in read_requirements(subject):
        for code, message in _judge(line, subject.archive.members):
            shown = f" ({_shown(line)})" if code == "MAR-Q004" else ""
            yield finding(code, f"Line {number} {message}{shown}.", member=name)


def read_requirements(subject: Subject) -> Iterator[tuple[int, str]]:
    """The lines of the requirements as pip sees them, with their numbers.

    Args:
        subject: The archive.

    Yields:
        Nothing where there is no such file, or it cannot be read.
    """
    name = subject.manifest.requirements_file
    if name in subject.archive.members and name is not None and _fault(subject) is None:
        yield from _logical_lines(subject.archive.read(name).decode("utf-8"))


def _fault(subject: Subject) -> Finding | None:
    """What is wrong with the file as a whole, or None."""
    name = subject.manifest.requirements_file
    member = subject.archive.members.get(name or "")
    if name is None or member is None:
        return None
    if member.size > _MAX_BYTES:
        message = f"The file is {member.size:,} bytes; at most {_MAX_BYTES:,} are allowed."
        return finding("MAR-Q006", message, member=name)
    message = _encoding_fault(subject.archive.read(name))
    return finding("MAR-Q001", message, member=name) if message else None


def _shown(line: str) -> str:
    """The line without a password that it may hold."""
    return printable(_PASSWORD.sub("://…@", line))[:_MAX_SHOWN]


def _encoding_fault(raw: bytes) -> str:
    """What is wrong with the encoding; pip would follow a comment that names one."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return "The file begins with a byte order mark."
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"The file is not UTF-8 (byte {error.start})."
    if any(_CODING.match(line) for line in text.splitlines()[:2]):
        return "A comment of the file names an encoding, which pip would follow."
    if not all(char.isprintable() or char in "\r\n\t\f" for char in text):
        return "The file holds control characters."
    if text.count("\n") > _MAX_LINES:
        return f"The file has more than {_MAX_LINES:,} lines."
    return ""


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that pip sees: continued ones joined, comments and empty ones left out."""
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        if not parts:
            first = number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            parts.append(line.strip("\\"))
            continue
        parts.append(f" {line}" if comment else line)
        joined = _COMMENT.sub("", "".join(parts)).strip()
        parts = []
        if joined:
            yield first, joined
    if parts:
        yield first, "".join(parts).strip()


def _judge(line: str, members: Container[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with one line, as code and the middle of a sentence."""
    if _VARIABLE.search(line):
        yield "MAR-Q005", "reads an environment variable"
    elif _SECURE_INDEX.fullmatch(line):
        yield "MAR-Q004", "adds another index"
    elif line.startswith("-"):
        yield "MAR-Q003", "gives pip an option"
    elif _PACKAGE.fullmatch(line) and line in members:
        yield "MAR-Q007", "installs a package from the archive"
    else:
        yield from _judge_requirement(_HASH.sub("", f"{line} ").strip())


def _judge_requirement(line: str) -> Iterator[tuple[str, str]]:
    from packaging.requirements import InvalidRequirement, Requirement

    if re.search(r"\s-", line):
        yield "MAR-Q003", "gives pip an option"
        return
    marker_free = line.partition(";")[0].strip()
    if _PLACE.search(marker_free) or _PACKAGE.fullmatch(marker_free):
        yield "MAR-Q002", "names a place"
        return
    try:
        parsed = Requirement(line)
    except InvalidRequirement:
        yield "MAR-Q006", "is no requirement"
        return
    if parsed.url:
        yield "MAR-Q002", "names a place"
