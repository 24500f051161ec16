"""The one time that an archive carries, which has nothing to do with the clock."""

from __future__ import annotations

import os
import time

from mar_core.errors import UsageError

__all__ = ["UNDATED", "created_on", "epoch", "zip_date"]

VARIABLE = "SOURCE_DATE_EPOCH"
# What a zip can express: from 1980 to 2107, in steps of two seconds.
FIRST = 315_532_800
UNDATED = "01/01/1980 00:00:00"  # what ``created_on`` says without SOURCE_DATE_EPOCH
LAST = 4_354_819_198


def epoch() -> int:
    """The time of every member, in seconds since 1970: ``SOURCE_DATE_EPOCH``, or the start of 1980.

    Raises:
        UsageError: The variable is set and is no number of seconds.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return FIRST
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{VARIABLE} is {text!r}, which is no number of seconds since 1970.")
    return min(max(int(text), FIRST), LAST)


def created_on() -> str:
    """``createdOn`` of the manifest, in UTC and in torch-model-archiver's layout."""
    return time.strftime("%d/%m/%Y %H:%M:%S", time.gmtime(epoch()))


def zip_date() -> int:
    """The same moment in DOS's packing, ``date << 16 | time``."""
    moment = time.gmtime(epoch())
    date = (moment.tm_year - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
    return date << 16 | moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2
