"""Keys and tokens that are about to be packed: whoever gets the archive can read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.format.codes import finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mar_core.findings import Finding
    from mar_core.format.sources import Content

__all__ = ["secrets_in"]

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
    "a Google service account": (
        (b'"service_account"',),
        rb'"type"\s{0,9}:\s{0,9}"service_account"',
    ),
}


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
