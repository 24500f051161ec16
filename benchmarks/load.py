"""Weights from an archive against those of a bare file: time, bytes written, memory of workers."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import HERE, MAR, MEGA, python, table
from pack import make_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness import Settings

    Way = tuple[str, Path, Callable[[], object]]

CONVERT = """
import sys, torch, safetensors.torch
safetensors.torch.save_file(torch.load(sys.argv[1], weights_only=True), sys.argv[2])
"""


def tables(settings: Settings) -> Iterator[str]:
    """One table for each format, and one of the memory of several workers."""
    size = settings.pick(quick=2, normal=500, full=500)
    weights, handler = make_sources(settings.folder, size)
    tensors = weights.with_suffix(".safetensors")
    subprocess.run(python(CONVERT, weights, tensors), check=True)
    for file, peer in ((weights, "torch.load(mmap=True)"), (tensors, "safetensors")):
        archive = make_archive(settings.folder, file, handler)
        ways: dict[str, Way] = {
            peer: ("map", file, int),
            "unpacked, first": ("cache", archive, forget),
            "unpacked, again": ("cache", archive, int),
            "in place, first": ("in place", archive, forget),
            "in place, again": ("in place", archive, int),
        }
        title = f"{size:,} MB of weights as {file.suffix}, from the page cache, after the imports"
        yield times(title, ways, rounds=settings.pick(quick=0, normal=5, full=7))
    archive = make_archive(settings.folder, weights, handler)
    yield memory(size, weights, archive, workers=settings.pick(quick=2, normal=4, full=4))


def make_archive(folder: Path, weights: Path, handler: Path) -> Path:
    """An archive of these weights."""
    name = f"load{weights.suffix.replace('.', '_')}"
    words = [MAR, "archive", "--model-name", name, "--version", "1.0", "--handler", handler]
    words += ["--serialized-file", weights, "--export-path", folder, "--force", "--quiet"]
    subprocess.run(words, check=True)
    return folder / f"{name}.mar"


def forget() -> None:
    """Empty the cache, records of what was checked included."""
    shutil.rmtree(os.environ["MAR_CACHE_DIR"], ignore_errors=True)


def times(title: str, ways: Mapping[str, Way], *, rounds: int) -> str:
    """Each way in turns; the first round counts where it is the only one. Tensors are compared."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, (how, path, before) in ways.items():
            before()
            told = _once(how, path)
            assert told["digest"] == found.setdefault("digest", [told])[0]["digest"], name
            if turn or not rounds:
                found[name].append(told)
    rows = []
    for name in ways:
        there, read = (sorted(told[key] for told in found[name]) for key in ("there", "read"))
        written = statistics.median(told["written"] for told in found[name])
        values = (statistics.median(there), there[0], there[-1], statistics.median(read))
        rows.append((name, *(f"{value:.4f}" for value in values), f"{written / MEGA:.3f}"))
    return table(title, ("", "seconds", "min", "max", "until read", "written MB"), rows)


def memory(size: int, weights: Path, archive: Path, *, workers: int) -> str:
    """The proportional set size of workers that have read all of the weights."""
    forget()
    ways = {
        "torch.load": ("copy", weights),
        "torch.load(mmap=True)": ("map", weights),
        "in place": ("in place", archive),
    }
    rows = []
    for name, (how, path) in ways.items():
        one, several = _proportional(how, path, workers)
        numbers = (one, several, (several - one) / (workers - 1))
        rows.append((name, *(f"{number / MEGA:.1f}" for number in numbers)))
    title = f"MB of memory (proportional set size) of workers with {size:,} MB of weights"
    return table(title, ("", "1 worker", f"{workers} workers", "each one more"), rows)


def _once(how: str, path: Path) -> dict[str, Any]:
    with _started(how, path) as process:
        return _told(process)


def _started(how: str, path: Path) -> subprocess.Popen[str]:
    words = [str(word) for word in python(HERE / "load_once.py", how, path)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told


def _proportional(how: str, path: Path, count: int) -> tuple[int, int]:
    """The memory of one, and of all together once the others are there."""
    with ExitStack() as stack:
        processes = [stack.enter_context(_started(how, path))]
        _told(processes[0])
        one = _pss(processes[0].pid)
        processes += [stack.enter_context(_started(how, path)) for _ in range(count - 1)]
        for process in processes[1:]:
            _told(process)
        return one, sum(_pss(process.pid) for process in processes)


def _pss(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
