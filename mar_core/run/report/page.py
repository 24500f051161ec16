"""The page that a report begins with: everything but the rows, in one file that asks nobody."""

from __future__ import annotations

import base64
import hashlib
import re

from mar_core.run.report import static_file

__all__ = ["begin_page"]

# In this order: each uses what stands before it.
MODULES = (
    *("dom.js", "texts.js", "pictures.js", "answers.js"),
    *("rows.js", "choice.js", "summary.js", "truth.js", "cards.js", "details.js", "report.js"),
)
STYLES = ("common.css", "report.css")
POLICY = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def begin_page() -> bytes:
    """The page without rows, each of which is a line more.

    No end tags follow: a page whose run was killed is as sound as one whose run has ended. Its
    policy allows its own script and style by their digests, and nothing from anywhere.
    """
    script = "\n".join(_module(name) for name in MODULES)
    style = "\n".join(static_file(name).decode() for name in STYLES)
    policy = POLICY.format(script=_digest(script), style=_digest(style))
    page = static_file("report.html").decode()
    for mark, text in (("POLICY", policy), ("STYLE", style), ("SCRIPT", script)):
        page = page.replace(f"%{mark}%", text)
    return page.encode()


def _module(name: str) -> str:
    """A module as a part of one script: what the others export is there."""
    return _EXPORT.sub("", _IMPORT.sub("", static_file(name).decode()))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
