"""Distributions that are nothing but metadata and a module, on the path of this process."""

from __future__ import annotations

import pytest


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """Put a distribution on ``sys.path``; what it offers is given by group."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    made = []

    def add(name, *, handlers=None, plugins=None, files=None, torn=False):
        folder = site / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        groups = {"mar.handlers": handlers or {}, "mar.plugins": plugins or {}}
        lines = [
            "\n".join([f"[{group}]", *(f"{key} = {target}" for key, target in entries.items())])
            for group, entries in groups.items()
        ]
        (folder / "entry_points.txt").write_text("\n".join([*lines, "torn" if torn else ""]))
        for file, text in (files or {}).items():
            (site / file).write_text(text)
        made.append(name)
        # Each distribution is another search path, as far as the one scan can tell.
        monkeypatch.syspath_prepend(str(tmp_path / f"nothing{len(made)}"))

    return add
