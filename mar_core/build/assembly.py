"""The contents of an archive in the making: one file at one place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.build.extra_files import expand_items, split_items
from mar_core.errors import UsageError
from mar_core.findings import Finding, has_errors
from mar_core.format.codes import finding, refusal
from mar_core.format.limits import DEFAULT_LIMITS
from mar_core.format.manifest import MANIFEST_NAME, Manifest
from mar_core.format.names import check_names
from mar_core.format.sources import Content, Sources, in_order, same_content

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Assembly", "secrets_in"]

# Larger files are weights and data; keys and settings are small.
_LARGEST = 1 << 20
_NAMES = re.compile(
    r"\.env(?:\.(?!example$|sample$|template$|dist$).+)?|\.netrc|\.pypirc|\.npmrc|\.git-credentials"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)|.+\.(?:key|p12|pfx|jks|keystore|ppk)",
    re.IGNORECASE,
)
_PRIVATE_KEY = rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
# What services give their tokens so that they can be found: the words that each has, which are
# looked for first, since that is quick; and the whole.
_TOKENS = {
    "a Hugging Face token": ((b"hf_",), rb"\bhf_[A-Za-z0-9]{34}\b"),
    "an AWS access key": ((b"AKIA", b"ASIA"), rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a GitHub token": (
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
        rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,82})\b",
    ),
    "a Google API key": ((b"AIza",), rb"\bAIza[0-9A-Za-z_-]{35}\b"),
    "an OpenAI key": (
        (b"T3BlbkFJ",),
        rb"\bsk-(?:proj-)?[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b",
    ),
    "a Slack token": ((b"xox",), rb"\bxox[baprs]-[0-9A-Za-z-]{20,72}\b"),
    # Not what stands for one: ${TOKEN}, <password>, {password}, ****.
    "a password in an address": (
        (b"://",),
        rb"[a-z]://[^\s/:@'\"<>{}$*]{0,99}:[^\s/:@'\"<>{}$*]{1,99}@[A-Za-z0-9]",
    ),
    "a Google service account": (
        (b'"service_account"',),
        rb'"type"\s{0,9}:\s{0,9}"service_account"',
    ),
}


class Assembly:
    """The contents of an archive while they are collected."""

    def __init__(self) -> None:
        self.contents: dict[str, Content] = {}
        self._owners: dict[str, str] = {MANIFEST_NAME: "the manifest"}
        self._findings: list[Finding] = []

    def add_named(self, flag: str, path: Path) -> None:
        """Put the file of one flag at the root.

        Raises:
            UsageError: It is no file, or its place is taken.
        """
        if path.is_dir():
            raise UsageError(f"{flag} {path} is a folder; it must be a file.")
        if not path.exists():
            raise UsageError(f"There is no file {str(path)!r}.", hint=f"Check {flag}.")
        if not path.is_file():
            raise UsageError(f"{flag} {path} is a device or a pipe; it must be a file.")
        self.add(path.name, path, owner=str(path))

    def add_extras(self, values: tuple[str | Path, ...], *, leave_out: Path | None) -> None:
        """Put the files of ``--extra-files`` at their places.

        Raises:
            UsageError: Something is not there, or its place is taken.
        """
        items = split_items(values)
        paths = frozenset() if leave_out is None else frozenset({leave_out.resolve()})
        files, findings = expand_items(items, leave_out=paths)
        self._findings.extend(findings)
        for file in files:
            self.add(file.name, file.source, owner=str(file.source))

    def add(self, name: str, content: Content, *, owner: str) -> None:
        """Put one file at one place; the same file a second time is no matter.

        Raises:
            UsageError: Another file is there.
        """
        taken = self._owners.setdefault(name, owner)
        if name not in self.contents and taken is owner:
            self.contents[name] = content
        elif not same_content(self.contents.get(name), content):
            raise UsageError(
                f"Two files go to the one place {name!r} in the archive: {taken} and {owner}.",
                hint="Rename one, or put one into a folder: --extra-files FILE=FOLDER/.",
            )

    def sources(self, manifest: Manifest) -> Sources:
        """Everything, in the order of the archive.

        Raises:
            ValidationError: Names of members are bad, or there are too many.
        """
        many = DEFAULT_LIMITS.too_many(len(self.contents) + 1)
        findings = [*self._findings, *check_names(self.contents), *([many] if many else [])]
        findings += secrets_in(self.contents)
        contents = in_order(self.contents, manifest.serialized_file)
        sources = Sources(manifest, contents, findings=findings)
        if has_errors(findings):
            raise refusal(f"What {manifest.model_name} would become", *findings)
        return sources


def secrets_in(contents: Mapping[str, Content]) -> Iterator[Finding]:
    """Warnings about files that look as if nobody should read them.

    Args:
        contents: What an archive is made of, by the names of the members. Files of this machine are
            looked at; what an archive hands on has been there before.
    """
    for name, content in contents.items():
        if isinstance(content, Path):
            what = _secret(content)
            if what:
                yield finding("MAR-E004", f"The file {what}.", member=name)


def _secret(path: Path) -> str | None:
    """What of a file is secret, as the end of a sentence, or None."""
    try:
        raw = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
    except OSError:  # whoever packs it says so
        return None
    if b"PRIVATE KEY-----" in raw and re.search(_PRIVATE_KEY, raw):
        return "holds a private key"
    for what, (words, pattern) in _TOKENS.items():
        if any(word in raw for word in words) and re.search(pattern, raw):
            return f"holds what looks like {what}"
    if _NAMES.fullmatch(path.name):
        return "has a name that files with passwords or keys have"
    # A .pem of certificates alone is public.
    if path.suffix.lower() == ".pem" and b"-----BEGIN CERTIFICATE-----" not in raw:
        return "has a name that files with passwords or keys have"
    return None
