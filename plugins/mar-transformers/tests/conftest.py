"""Tiny models, saved once, and the archives of them."""

from __future__ import annotations

import json

import pytest
import tiny_transformers

from mar_core import load
from mar_core.testing import make_archive


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Give the folder of a tiny model, by its name."""
    folders = {}

    def save(name):
        if name not in folders:
            folder = tmp_path_factory.mktemp("hub") / name
            folders[name] = tiny_transformers.save(name, folder)
        return folders[name]

    return save


@pytest.fixture(scope="session")
def packed(saved, tmp_path_factory):
    """Give an archive of a tiny model, with what its model-config.yaml says to the handler."""
    archives = {}

    def pack(name, **options):
        key = json.dumps([name, options], sort_keys=True)
        if key not in archives:
            folder = saved(name)
            weights = folder / "model.safetensors"
            archives[key] = make_archive(
                tmp_path_factory.mktemp("packed"),
                handler=options.pop("handler", "transformers"),
                serialized_file=weights,
                extra_files=sorted(path for path in folder.iterdir() if path != weights),
                config={"handler": options} if options else None,
            )
        return archives[key]

    return pack


@pytest.fixture
def loaded(packed):
    """Give a loaded archive of a tiny model."""
    opened = []

    def open_one(name, **options):
        opened.append(load(packed(name, **options), device="cpu", batch_size=8))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
