"""From an unpacked archive to its handler and its model.

Nothing is imported here: the plugin of the loaders is, by every command that loads plugins.
"""

from __future__ import annotations
