"""What --version may be."""

from __future__ import annotations

import pytest

from mar_core.build.plan import check_version
from mar_core.errors import UsageError

GOOD = [None, "1", "1.0.0", "v1.0", "1.0+cu118", "1.0 beta", "2024-01-01", "latest", "1_0", "é1"]
BAD = ["", "1;rm", " 1", "1 ", "1  0", "-1", ".1", "a/b", "a\\b", "1\n", "$(x)", "x" * 129, "a&b"]


@pytest.mark.parametrize("version", GOOD)
def test_taken(version):
    check_version(version)


@pytest.mark.parametrize("version", BAD)
def test_refused(version):
    with pytest.raises(UsageError, match="version"):
        check_version(version)
