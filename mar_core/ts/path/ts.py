"""``import ts`` in a process that a handler starts: becomes the package with TorchServe's names."""

from __future__ import annotations

import sys

from mar_core.ts import compat

compat.install_finder()
sys.modules[__name__] = compat.load(compat.ROOT)
