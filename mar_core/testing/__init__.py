"""The kit that the tests of plugin authors use."""

from __future__ import annotations
