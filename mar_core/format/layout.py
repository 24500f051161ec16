"""The order of an archive's members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.format.contents import size_of
from mar_core.format.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.format.contents import Content

__all__ = ["LARGE", "in_order"]

LARGE = 1 << 20


def in_order(contents: Mapping[str, Content], serialized: str | None) -> dict[str, Content]:
    """The members in the order of the archive: what seldom changes first, the manifest last.

    The weights, then everything of a mebibyte or more, then the small files: when one of those
    changes, all that stands before stays where it is.

    Args:
        contents: What each member is made of.
        serialized: The member that holds the weights, or None.
    """

    def place(name: str) -> tuple[int, str]:
        if name == MANIFEST_NAME:
            return 3, name
        if name == serialized:
            return 0, name
        return (1 if size_of(contents[name]) >= LARGE else 2), name

    return {name: contents[name] for name in sorted(contents, key=place)}
