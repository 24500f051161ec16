"""The report of a run, one page for people; what it is drawn with serves other pages, too."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["page_files", "static_file"]

# What pages of other packages are given; the rest is the report's own.
SHARED = ("answers.js", "common.css", "dom.js", "pictures.js", "texts.js")


def page_files() -> Mapping[str, bytes]:
    """What pages draw answers with, by the files' names.

    ``answers.js`` is a module of JavaScript: its ``show`` takes an answer's bytes, ``view`` a
    value, and both promise elements with bars, boxes, masks, marked text or tables, in which
    whatever a model said is text. It imports the other modules by ``./NAME``; ``common.css`` has
    the style.
    """
    return {name: static_file(name) for name in SHARED}


@cache
def static_file(name: str) -> bytes:
    """A file of the pages."""
    return (files(__name__) / "static" / name).read_bytes()
