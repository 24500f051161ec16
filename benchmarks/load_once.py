"""``load_once.py HOW FILE``: one process that loads weights in one way, adds them up, and waits.

Prints one line of JSON: the seconds until the tensors were there, until all had been read, the
bytes written meanwhile, and a digest of the tensors. Then it waits for a line, so that its memory
can be looked at. The imports are not counted, nor what loads the plugins.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import safetensors.torch
import torch

from mar_core import open_archive
from mar_core.cache.entries import unpacked
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.runtime.needed import files_for
from mar_core.weights.loading import model_source
from mar_core.weights.registry import weights_formats
from mar_core.weights.state_dict import weights_of


def in_place(path: Path) -> dict[str, torch.Tensor]:
    """As ``mar run`` loads them: checked where there is no record, and mapped where they lie."""
    with open_archive(path) as archive:
        files = files_for(archive, archive.manifest)
        context = SimpleNamespace(manifest=archive.manifest.data, files=files, system_properties={})
    source = model_source(None, context)
    assert source.in_place
    return weights_of(source, torch.device("cpu"))


def by_the_cache(path: Path) -> dict[str, torch.Tensor]:
    """Unpacked where they are not yet, and mapped from there."""
    with open_archive(path) as archive:
        folder = unpacked(archive)
        (name,) = set(archive.members) - {MANIFEST_NAME, "handler.py"}
    return load(folder / name)


def load(path: Path) -> dict[str, torch.Tensor]:
    """The peers: each library's own way to map a file."""
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    return torch.load(path, mmap=True, weights_only=True)


def copied(path: Path) -> dict[str, torch.Tensor]:
    """What who does not map pays."""
    return torch.load(path, weights_only=True)


WAYS = {"map": load, "copy": copied, "in place": in_place, "cache": by_the_cache}


def main() -> None:
    how, path = sys.argv[1], Path(sys.argv[2])
    weights_formats()  # loads the plugins, once a process
    written = resource.getrusage(resource.RUSAGE_SELF).ru_oublock
    start = time.perf_counter()
    tensors = WAYS[how](path)
    there = time.perf_counter()
    total = sum(float(tensor.sum()) for tensor in tensors.values())
    read = time.perf_counter()
    blocks = resource.getrusage(resource.RUSAGE_SELF).ru_oublock - written
    digest = hashlib.sha256(repr(total).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten()[:1000].numpy().tobytes())
    told = {"there": there - start, "read": read - start, "written": blocks * 512}
    print(json.dumps({**told, "digest": digest.hexdigest()}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
