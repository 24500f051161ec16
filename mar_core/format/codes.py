"""What opening an archive can find: the rule codes of containers, names and limits.

``MAR-A`` is about the file itself (zip, tar, gzip, folder), ``MAR-N`` about the members' names,
``MAR-E`` about what ``--extra-files`` comes to and ``MAR-L`` about limits.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from mar_core.findings import Finding, Severity, ValidationError
from mar_core.text import printable

__all__ = ["CODES", "Code", "finding", "refusal"]


class Code(NamedTuple):
    """One rule.

    Attributes:
        severity: What a finding of it weighs.
        title: What must hold, in a few words.
        remedy: What to do when it does not.
    """

    severity: Severity
    title: str
    remedy: str


_LONGEST_NAME = 1024
_AGAIN = "Get the file again, or make it again with `mar archive`."
_MAKE = "Make it again with `mar archive` from the original files."
_DISTRUST = (
    "Ordinary tools do not write this; do not use the archive unless you know where it is from."
)
_RENAME = "Rename the file and make the archive again."
_LIMIT = "If you trust the archive, raise the limit with MAR_MAX_SIZE (bytes, or such as 20G)."


_error = functools.partial(Code, Severity.ERROR)
_warning = functools.partial(Code, Severity.WARNING)


CODES: dict[str, Code] = {
    # the file as a whole
    "MAR-A001": _error("The file is a model archive", "Give a .mar, a .tar.gz or a folder."),
    "MAR-A002": _error("The file is not empty", _AGAIN),
    "MAR-A003": _error("The file's ending fits its content", "Rename the file."),
    "MAR-A004": _error("The archive is a regular file or a folder", "Give a .mar file."),
    "MAR-A005": _error("The file is whole", _AGAIN),
    "MAR-A006": _error("Nothing stands before the first member", _DISTRUST),
    "MAR-A007": _error("Nothing stands after the end", _DISTRUST),
    "MAR-A008": _error("The archive has members", _MAKE),
    # zip: the end records and the directory
    "MAR-A101": _error("There is one end record", _DISTRUST),
    "MAR-A102": _error("Comments are short and plain", _MAKE),
    "MAR-A103": _error("The end record is true", _AGAIN),
    "MAR-A104": _error("The zip64 records are true and agree with the others", _MAKE),
    "MAR-A105": _error("The directory is sound", _AGAIN),
    # zip: the members
    "MAR-A110": _error("Members follow each other without a gap", _DISTRUST),
    "MAR-A111": _error("Members do not overlap", _DISTRUST),
    "MAR-A112": _error("A member's own header says what the directory says", _DISTRUST),
    "MAR-A113": _error("Data descriptors are true, and only behind deflated members", _MAKE),
    "MAR-A114": _error("Members are not encrypted", "Decrypt it first; mar has no passwords."),
    "MAR-A115": _error("Members are stored or deflated", _MAKE),
    "MAR-A116": _error("Members use only features that TorchServe reads", _MAKE),
    "MAR-A117": _error("Extra fields are sound and do not rename the member", _MAKE),
    "MAR-A118": _error("Names are ASCII or UTF-8", _MAKE),
    "MAR-A119": _warning("Names that are not ASCII are marked as UTF-8", _MAKE),
    # kinds of members
    "MAR-A120": _error("Members are not links", "Put the file itself in place of the link."),
    "MAR-A121": _error("Members are files and folders", "Leave devices, pipes and the like out."),
    "MAR-A122": _error("Folders hold no data of their own", _DISTRUST),
    # content
    "MAR-A130": _error("The content fits its CRC-32", _AGAIN),
    "MAR-A131": _error("Members are as long as they say", _AGAIN),
    "MAR-A132": _error("Deflated content can be inflated", _AGAIN),
    "MAR-A133": _error("The content fits the manifest's SHA-256", _AGAIN),
    "MAR-A134": _error("The members are those that the manifest lists", _AGAIN),
    "MAR-A135": _warning(
        "A folder's files are as the manifest says", "Archive them again if the change is meant."
    ),
    # tar and gzip
    "MAR-A201": _error("The gzip stream is sound", _AGAIN),
    "MAR-A202": _error("There is one gzip stream and nothing behind it", _DISTRUST),
    "MAR-A203": _error("Every tar header is sound", _AGAIN),
    "MAR-A204": _error("The tar ends with two zero blocks, then zeros", _AGAIN),
    "MAR-A205": _error("Extended tar headers are short, sound and agree", _MAKE),
    "MAR-A206": _error("All members lie in one folder", "Use `mar archive --archive-format tgz`."),
    # names
    "MAR-N001": _error("Names stay inside the archive", _DISTRUST),
    "MAR-N002": _error("Names are in their shortest form", _MAKE),
    "MAR-N003": _error("Names hold no backslash and no colon", _RENAME),
    "MAR-N004": _error("Names hold no control or direction characters", _RENAME),
    "MAR-N005": _error("Names are not reserved on Windows", _RENAME),
    "MAR-N006": _error("Parts of names do not end with a dot or a space", _RENAME),
    "MAR-N007": _error("Names are not too long or too deep", _RENAME),
    "MAR-N008": _error("No name comes twice", _DISTRUST),
    "MAR-N009": _error("Names differ by more than case or Unicode form", _RENAME),
    "MAR-N010": _error("No name is both a file and a folder", _DISTRUST),
    "MAR-N011": _warning("Names can be written on every system", "Rename it, for Windows' sake."),
    # files that are being archived
    "MAR-E001": _warning("Every pattern of --extra-files matches a file", "Check --extra-files."),
    "MAR-E002": _warning("Extra files are no leftovers of other tools", "Leave the file out."),
    "MAR-E003": _warning(
        "Links in folders of extra files stay inside",
        "What they point to is packed; leave the link out if that is not meant.",
    ),
    "MAR-E004": _warning(
        "No keys and tokens are packed",
        "Leave it out, and read it from the environment: whoever gets the archive can read it.",
    ),
    # limits
    "MAR-L001": _error("The archive has no more members than allowed", _MAKE),
    "MAR-L002": _error("The members together are not too large for the file", _LIMIT),
    "MAR-L003": _error(
        "Examining the archive costs little",
        "If you trust the archive, allow more with MAR_MAX_SECONDS and MAR_MAX_MEMORY.",
    ),
}


def finding(code: str, message: str, *, member: str | None = None) -> Finding:
    """A finding with the severity and the remedy of its code; an endless name is shortened."""
    severity, _, remedy = CODES[code]
    if member is not None and len(member) > _LONGEST_NAME:
        member = f"{member[:100]}…{member[-100:]}"
    return Finding(code=code, message=message, severity=severity, member=member, hint=remedy)


def refusal(archive: object, *findings: Finding) -> ValidationError:
    """The error that refuses an archive because of these findings."""
    return ValidationError(f"{printable(str(archive))} is not a sound archive:", findings)
