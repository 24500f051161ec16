"""``python -m mar_core``: the same as ``mar``."""

from __future__ import annotations

from mar_core.cli import main

main()
