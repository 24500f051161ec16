"""A run opens its archive once; a ``.tar.gz`` is inflated once."""

from __future__ import annotations

import pytest
from packs import HANDLER, mar_here

from mar_core import archive
from mar_core.format import tar_archive
from mar_core.runtime import load_options


@pytest.mark.parametrize(("archive_format", "inflated"), [("default", 0), ("tgz", 1)])
def test_once(archive_format, inflated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAR_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "handler.py").write_text(HANDLER)
    (tmp_path / "rows.jsonl").write_text('{"data": 1}\n')
    made = archive("m", handler="handler.py", version="1.0", archive_format=archive_format)
    calls = []

    def counted(module, name):
        real = getattr(module, name)

        def call(*args, **more):
            calls.append(name)
            return real(*args, **more)

        monkeypatch.setattr(module, name, call)

    counted(load_options, "open_archive")
    counted(tar_archive, "inflated_copy")
    mar_here("run", str(made), "rows.jsonl", "--quiet", "-o", "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text().count('"result"') == 1
    assert calls.count("open_archive") == 1
    assert calls.count("inflated_copy") == inflated
