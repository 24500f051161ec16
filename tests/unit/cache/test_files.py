"""The files of an archive that is read where it lies: what holds it, and for how long."""

from __future__ import annotations

import os
import pickle

from packs import HANDLER, weights

from mar_core import Recipe, archive


def descriptors():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as few descriptors as may be


def test_closing_lets_go_of_the_archive(tmp_path, monkeypatch):
    monkeypatch.setenv("MAR_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "handler.py").write_text(HANDLER)
    made = archive(
        "m", handler=tmp_path / "handler.py", version="1", export_path=tmp_path,
        serialized_file=weights(tmp_path / "w.safetensors", 1 << 16),
    )  # fmt: skip
    Recipe(source=made).prepare().close()  # the entry of the cache is held from now on
    before = descriptors()
    kept = [Recipe(source=made).prepare() for _ in range(3)]
    assert descriptors() > before
    assert kept[0].files.read("handler.py") == HANDLER.encode()
    copied = pickle.loads(pickle.dumps(kept[0]))
    for one in (*kept, copied):
        one.close()
        one.close()
    assert descriptors() == before
