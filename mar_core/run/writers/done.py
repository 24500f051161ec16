"""The ids of the rows that an earlier run wrote, in 16 bytes each."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DoneIds"]

HALF = 8


class DoneIds:
    """A set of ids that is only asked: ``id in done``, ``len(done)``.

    It holds 128-bit digests, 16 MB for a million ids; that two of a million are taken for one has a
    probability of about 1 in 10 to the 26.

    Args:
        ids: The ids.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        digests = bytearray().join(_digest(name) for name in ids)
        self._highs: Any = ()
        self._lows: Any = ()
        if digests:
            import numpy as np

            halves = np.frombuffer(digests, dtype=">u8").astype("u8").reshape(-1, 2)
            halves = np.unique(halves, axis=0)
            self._highs, self._lows = halves[:, 0].copy(), halves[:, 1].copy()

    def __len__(self) -> int:
        return len(self._highs)

    def __contains__(self, name: object) -> bool:
        if not len(self) or not isinstance(name, str):
            return False
        digest = _digest(name)
        high, low = (int.from_bytes(half, "big") for half in (digest[:HALF], digest[HALF:]))
        place = int(self._highs.searchsorted(self._highs.dtype.type(high)))
        while place < len(self) and self._highs[place] == high:
            if self._lows[place] == low:
                return True
            place += 1
        return False


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=2 * HALF).digest()
