"""How much an archive may hold: limits that no honest model reaches and every bomb does."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.errors import UsageError
from mar_core.format.codes import finding

if TYPE_CHECKING:
    from mar_core.findings import Finding

__all__ = ["DEFAULT_LIMITS", "Limits", "parse_size"]

MIB = 1 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a reader takes.

    Attributes:
        max_members: Members, folders counted too.
        max_size: Bytes of all members together, unpacked. None allows 256 MiB plus 20 times the
            archive's own size, or what the variable ``MAR_MAX_SIZE`` says.
    """

    max_members: int = 10_000
    max_size: int | None = None

    def total(self, file_size: int) -> int:
        """The bytes that an archive of ``file_size`` bytes may unpack to.

        Raises:
            UsageError: ``MAR_MAX_SIZE`` is no size.
        """
        if self.max_size is not None:
            return self.max_size
        variable = os.environ.get("MAR_MAX_SIZE")
        if variable:
            return parse_size(variable, name="MAR_MAX_SIZE")
        return 256 * MIB + 20 * file_size

    def too_many(self, count: int) -> Finding | None:
        """The finding for that many members, if there is one."""
        if count <= self.max_members:
            return None
        message = f"The archive has {count:,} members; at most {self.max_members:,} are allowed."
        return finding("MAR-L001", message)

    def too_large(self, total: int, file_size: int) -> Finding | None:
        """The finding for ``total`` unpacked bytes in a file of ``file_size``, if there is one."""
        allowed = self.total(file_size)
        if total <= allowed:
            return None
        message = (
            f"The archive of {file_size:,} bytes unpacks to {total:,} bytes or more; "
            f"{allowed:,} are allowed for it."
        )
        return finding("MAR-L002", message)


DEFAULT_LIMITS = Limits()


def parse_size(text: str, *, name: str) -> int:
    """Bytes from ``1048576``, ``500M`` or ``20G`` (powers of 1024).

    Args:
        text: What the user wrote.
        name: Where they wrote it, for the error.

    Raises:
        UsageError: It is no size.
    """
    match = re.fullmatch(r"\s*(\d{1,15})\s*([KMGT]?)(i?B)?\s*", text, re.IGNORECASE)
    if match is None:
        raise UsageError(
            f"{name} is {text!r}, which is no size.", hint="Write bytes, or such as 500M or 20G."
        )
    return int(match[1]) * _UNITS[match[2].upper()]
