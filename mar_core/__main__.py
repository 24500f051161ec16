"""``python -m mar_core``: the same as ``mar``."""

from __future__ import annotations

import os
import sys

# `-m` puts the current folder first on sys.path. It may be an unpacked archive, whose json.py must
# not be imported by a command that only looks at it; os and sys are imported before any of it can
# be. A checkout that is not installed finds itself there, and keeps it.
_HERE = os.getcwd()  # noqa: PTH109 - pathlib may be a file of the archive
_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
if sys.path[:1] in ([""], [_HERE]) and _HERE != _CHECKOUT:
    del sys.path[0]

from mar_core.cli import main  # noqa: E402

main()
