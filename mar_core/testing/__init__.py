"""The kit for the tests of handlers and plugins.

- ``HandlerContract``: a class of tests; subclass it and say with one fixture what to try.
- ``make_archive`` and ``run_archive``: an archive in a folder, and its answers.
- ``plugin``: a context in which an object is a plugin.

With pytest there are also the fixtures ``mar_archive`` and ``mar_plugin``. Names are loaded when
they are first used: a test run that needs none of this pays nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mar_core.testing.archives import make_archive as make_archive
    from mar_core.testing.archives import plugin as plugin
    from mar_core.testing.archives import run_archive as run_archive
    from mar_core.testing.contract import HandlerCase as HandlerCase
    from mar_core.testing.contract import HandlerContract as HandlerContract

_HOME = {
    "HandlerCase": "mar_core.testing.contract",
    "HandlerContract": "mar_core.testing.contract",
    "make_archive": "mar_core.testing.archives",
    "plugin": "mar_core.testing.archives",
    "run_archive": "mar_core.testing.archives",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the table above is the one list


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
