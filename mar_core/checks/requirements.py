"""requirements.txt: names, versions, markers and hashes; nothing that leads elsewhere.

pip takes far more from such a file: options, URLs, paths, other files, environment variables.
Whoever installs the requirements of an archive hands its author all of that. TorchServe took it
all, and most runs install nothing: what is found here is a warning, and an error only where the
requirements are locked or installed. A handler's file may list them in place of a file of their own
(PEP 723).

What an environment lacks for them is known from installed packages' metadata alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import importlib_metadata

from mar_core.checks.subject import SCRIPT_OPENING
from mar_core.checks.table import rule_finding
from mar_core.findings import Finding
from mar_core.text import printable

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from mar_core.checks.subject import Subject

__all__ = [
    "Script", "ScriptError", "Unmet", "lines_digest", "of_extra", "read_requirements",
    "read_script", "read_toml", "requirement_findings", "script_of", "unmet", "unmet_lines",
    "version_of",
]  # fmt: skip

_CLOSING = "# ///"
_MOST_DOTS = 50_000_000  # squared in each line: what reading keys costs, about half a second
_MOST = 64 << 10
_MAX_BYTES = 1 << 20
_MAX_LINES = 10_000
_MAX_LINE = 20_000  # with a hundred hashes
_MAX_SHOWN = 200
_MAX_NUMBERS = 5
_PASSWORD = re.compile(r"://[^/@\s]*@")
_CODING = re.compile(r"[ \t\f]*#.*?coding[:=]")
_HASH = re.compile(r"(?<=\s)--hash(?:=|\s)(?:sha256|sha384|sha512):[0-9a-fA-F]+")
_VARIABLE = re.compile(r"\$\{[A-Za-z0-9_]+\}|%[A-Za-z0-9_]+%")
_HASHES = re.compile(r"\s--hash\S*(\s+\S+:\S+)?")
_SECURE_INDEX = re.compile(r"--extra-index-url[=\s]\s*https://\S+")
_PACKAGE = re.compile(r"[\w.+-]+\.(?:whl|zip|tar\.gz|tgz)", re.IGNORECASE)
_PLACE = re.compile(r"[/\\]|^\.|^[A-Za-z][\w+.-]*:|\s@\s|^[\w.-]+(?:\[[^\]]*\])?@")
_ENCODINGS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
# What is wrong with a line, for one line and for several.
_FAULTS = {
    "MAR-Q002": ("names a URL or a path", "name URLs or paths"),
    "MAR-Q003": ("gives pip an option", "give pip options"),
    "MAR-Q004": ("adds another index", "add other indexes"),
    "MAR-Q005": ("reads an environment variable", "read environment variables"),
    "MAR-Q006": ("is not a requirement", "are not requirements"),
    "MAR-Q007": ("installs a package from the archive", "install packages from the archive"),
}


class ScriptError(ValueError):
    """A block is not what it must be; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a block says.

    Attributes:
        dependencies: The packages that the file needs.
        requires_python: The Pythons that it runs on, or None.
    """

    dependencies: tuple[str, ...] = ()
    requires_python: str | None = None


def read_script(text: str) -> Script | None:
    """The block of a file, or None where it has none.

    Args:
        text: The file's text.

    Raises:
        ScriptError: It has two, or one that cannot be read.
    """
    if SCRIPT_OPENING not in text:
        return None
    found = list(_blocks(text.replace("\r\n", "\n")))
    if len(found) > 1:
        raise ScriptError("There are two `# /// script` blocks.")
    if not found:
        return None
    content = "\n".join(line[2:] for line in found[0])
    if len(content) > _MOST:
        raise ScriptError(f"The `# /// script` block is longer than {_MOST:,} characters.")
    try:
        data = read_toml(content)
    except (ValueError, RecursionError) as error:
        raise ScriptError(f"The `# /// script` block is no TOML: {error}.") from error
    dependencies, python = data.get("dependencies", []), data.get("requires-python")
    if not isinstance(dependencies, list) or not all(isinstance(d, str) for d in dependencies):
        raise ScriptError("`dependencies` of the `# /// script` block is no list of strings.")
    if python is not None and not isinstance(python, str):
        raise ScriptError("`requires-python` of the `# /// script` block is no string.")
    return Script(tuple(dependencies), python)


def read_toml(text: str) -> dict[str, Any]:
    """Read TOML that may come from anybody.

    Args:
        text: What the file holds.

    Raises:
        ValueError: It is none, or has keys of so many parts that reading them would take long.
        RecursionError: It is nested too deeply.
    """
    import tomllib  # only for those that have some

    if sum(line.count(".") ** 2 for line in text.split("\n")) > _MOST_DOTS:
        raise ValueError("it has keys of too many parts")
    return tomllib.loads(text)


def _blocks(text: str) -> Iterator[list[str]]:
    """The lines of each block, in one pass: a pattern would look for an end from every opening."""
    block: list[str] | None = None
    for line in text.split("\n"):
        if block is None:
            block = [] if line == SCRIPT_OPENING else None
        elif line == _CLOSING and block:
            yield block
            block = None
        elif line == "#" or line.startswith("# "):
            block.append(line)
        else:
            block = None


def requirement_findings(subject: Subject) -> Iterator[Finding]:
    """What is odd about the requirements: one finding for all lines of one kind.

    Args:
        subject: The archive.
    """
    member = subject.manifest.requirements_file or subject.script_member
    given = _lines(subject)
    if isinstance(given, Finding):
        yield given
        return
    lines: dict[str, list[tuple[int, str]]] = {}
    for number, line in given:
        code = _judge(line, subject.archive.members)
        if code is not None:
            lines.setdefault(code, []).append((number, line))
    for code, found in lines.items():
        yield rule_finding(code, _sentence(code, found), member=member)


def read_requirements(subject: Subject) -> Iterator[tuple[int, str]]:
    """The lines of the requirements as pip sees them, with their numbers.

    Without a file of requirements they are what the handler's own file lists.

    Args:
        subject: The archive.

    Yields:
        Nothing where there are none, or they cannot be read.
    """
    lines = _lines(subject)
    if not isinstance(lines, Finding):
        yield from lines


def lines_digest(lines: Iterable[tuple[int, str]]) -> str:
    """What names requirements, whatever their comments and blank lines."""
    text = "\n".join(line for _, line in lines)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def script_of(subject: Subject) -> Script | None:
    """What the handler's file says of itself, or None where it says nothing.

    Raises:
        ScriptError: It cannot be read.
    """
    member = subject.script_member
    if member is None:
        return None
    try:
        return read_script(subject.archive.read(member).decode())
    except UnicodeDecodeError:
        return None  # the rules of code have their say


def _lines(subject: Subject) -> list[tuple[int, str]] | Finding:
    """The logical lines, or what is wrong with all of them."""
    if subject.manifest.requirements_file:
        text = _read(subject)
        return text if isinstance(text, Finding) else list(_logical_lines(text))
    try:
        script = script_of(subject)
    except ScriptError as error:
        return rule_finding("MAR-Q006", str(error), member=subject.script_member)
    listed = script.dependencies if script else ()
    return [(number, " ".join(line.split())) for number, line in enumerate(listed, 1)]


def _sentence(code: str, found: list[tuple[int, str]]) -> str:
    one, several = _FAULTS[code]
    # An index is shown, since any package may come from there; other lines may be from anywhere.
    shown = f" ({_shown(found[0][1])})" if code == "MAR-Q004" else ""
    if len(found) == 1:
        return f"Line {found[0][0]} {one}{shown}."
    numbers = [str(number) for number, _ in found[:_MAX_NUMBERS]]
    more = len(found) - len(numbers)
    listed = ", ".join(numbers) if more else f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    return f"Lines {listed}{f' and {more} more' if more else ''} {several}{shown}."


def _read(subject: Subject) -> str | Finding:
    """The text, empty where there is no file, or what is wrong with the file as a whole."""
    name = subject.manifest.requirements_file
    member = subject.archive.members.get(name or "")
    if name is None or member is None:
        return ""
    if member.size > _MAX_BYTES:
        message = f"The file is {member.size:,} bytes; at most {_MAX_BYTES:,} are read."
        return rule_finding("MAR-Q006", message, member=name)
    try:
        text = _text(subject.archive.read(name))
    except UnicodeDecodeError as error:
        message = f"The file is not UTF-8 (byte {error.start})."
        return rule_finding("MAR-Q001", message, member=name)
    message, hint = _text_fault(text)
    return rule_finding("MAR-Q001", message, member=name, hint=hint) if message else text


def _shown(line: str) -> str:
    """The line without a password that it may hold."""
    return printable(_PASSWORD.sub("://…@", line))[:_MAX_SHOWN]


def _text(raw: bytes) -> str:
    """The text, by its byte order mark where it has one, as pip reads it.

    Raises:
        UnicodeDecodeError: It is none.
    """
    encoding = next((name for mark, name in _ENCODINGS if raw.startswith(mark)), "utf-8")
    return raw.decode(encoding)


def _text_fault(text: str) -> tuple[str, str]:
    """Why the text is none of requirements, and what to do; or nothing."""
    lines = text.splitlines()
    if any(_CODING.match(line[:_MAX_SHOWN]) for line in lines[:2]):
        return (
            "A comment of the file names an encoding, which pip would follow.",
            "Remove the comment.",
        )
    if not all(char.isprintable() or char in "\r\n\t\f" for char in text):
        return "The file holds control characters.", "Remove them."
    if len(lines) > _MAX_LINES:
        hint = "Leave out what the model does not need."
        return f"The file has more than {_MAX_LINES:,} lines.", hint
    return "", ""


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
        joined = _without_comment("".join(parts))
        parts = []
        if joined:
            yield first, joined
    if parts:
        yield first, "".join(parts).strip()


def _without_comment(line: str) -> str:
    """The line up to a ``#`` that begins it or follows a space."""
    at = line.find("#")
    while at > 0 and not line[at - 1].isspace():
        at = line.find("#", at + 1)
    return (line if at < 0 else line[:at]).strip()


def _judge(line: str, members: Container[str]) -> str | None:
    """The rule that a line breaks, or None."""
    if len(line) > _MAX_LINE:
        return "MAR-Q006"
    line = " ".join(line.split())  # patterns below go over spaces
    if _VARIABLE.search(line):
        return "MAR-Q005"
    if _SECURE_INDEX.fullmatch(line):
        return "MAR-Q004"
    if line.startswith("-"):
        return "MAR-Q003"
    if _PACKAGE.fullmatch(line) and line in members:
        return "MAR-Q007"
    return _judge_requirement(_HASH.sub("", line).strip())


def _judge_requirement(line: str) -> str | None:
    from packaging.requirements import InvalidRequirement, Requirement

    if " -" in line:
        return "MAR-Q003"
    marker_free = line.partition(";")[0].strip()
    if _PLACE.search(marker_free) or _PACKAGE.fullmatch(marker_free):
        return "MAR-Q002"
    try:
        parsed = Requirement(line)
    except (InvalidRequirement, RecursionError):  # brackets in brackets in a marker
        return "MAR-Q006"
    return "MAR-Q002" if parsed.url else None


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that this environment does not meet.

    Attributes:
        package: The package's name.
        wanted: The requirement without its marker.
        why: What is there instead, such as ``not installed``.
    """

    package: str
    wanted: str
    why: str


def version_of(package: str) -> str | None:
    """The version of an installed package, or None where it is not installed."""
    try:
        return importlib_metadata.version(package) or None
    except Exception:  # noqa: BLE001 - a folder that an uninstall left behind has no metadata
        return None


def unmet(
    requirement: str, *, extra: str = "", seen: frozenset[str] = frozenset()
) -> Iterator[Unmet]:
    """What this environment lacks for one requirement, the extras that it names included.

    Args:
        requirement: A requirement without pip's options.
        extra: The extra whose requirement it is.
        seen: What led here, for extras that name each other.

    Raises:
        InvalidRequirement: It is none.
    """
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    marker = wanted.marker
    wanted.marker = None
    if str(wanted) in seen or (marker and not marker.evaluate({"extra": extra})):
        return
    version = version_of(wanted.name)
    if version is None:
        yield Unmet(wanted.name, str(wanted), "not installed")
    elif not wanted.specifier.contains(version, prereleases=True):
        yield Unmet(wanted.name, str(wanted), f"{version} is installed")
    else:
        for name in wanted.extras:
            for line in of_extra(wanted.name, name):
                yield from unmet(line, extra=name, seen=seen | {str(wanted)})


def unmet_lines(lines: Iterable[str]) -> Iterator[Unmet]:
    """What this environment lacks for the lines of a requirements file.

    Args:
        lines: The lines; what is none of a requirement is the rules' affair, and passed over.
    """
    from packaging.requirements import InvalidRequirement

    for line in lines:
        with contextlib.suppress(InvalidRequirement):
            yield from unmet(_HASHES.sub("", line).strip())


def of_extra(package: str, extra: str) -> Iterator[str]:
    """The requirements that an extra of a package adds."""
    from packaging.requirements import Requirement

    try:
        lines = importlib_metadata.requires(package) or []
    except importlib_metadata.PackageNotFoundError:
        return
    for line in lines:
        marker = Requirement(line).marker
        if marker and not marker.evaluate({"extra": ""}) and marker.evaluate({"extra": extra}):
            yield line
