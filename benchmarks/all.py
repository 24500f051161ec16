"""Measure mar against the opponents that it names, and print the tables: ``make bench``.

``python benchmarks/all.py [--quick | --full] [NAME ...]`` runs all benchmarks, or those named.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
import time
from pathlib import Path

from harness import Settings

NAMES = (
    "command_start",
    "one_call",
    "pack",
    "repack",
    "load",
    "cold_start",
    "environments",
    "batch",
    "loaders",
    "texts",
    "against_torchserve",
    "serving",
    "overload",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--quick", action="store_true", help="toy sizes: only shows that it works")
    scale.add_argument("--full", action="store_true", help="the sizes that the aims speak of")
    parser.add_argument("--folder", type=Path, help="keep what is made here, for the next time")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose of {NAMES}")
    chosen = "quick" if args.quick else "full" if args.full else "normal"
    # The same number of threads for everyone, and a cache of unpacked archives of our own.
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    with tempfile.TemporaryDirectory(prefix="mar-bench-") as scratch:
        folder = (args.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["MAR_CACHE_DIR"] = str(Path(scratch, "cache"))
        run(args.names or NAMES, Settings(folder=folder, scale=chosen))


def run(names: list[str] | tuple[str, ...], settings: Settings) -> None:
    """Print each table as soon as it is there."""
    print(f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}\n")
    for name in names:
        start = time.monotonic()
        for table in importlib.import_module(name).tables(settings):
            print(table, flush=True)
        print(f"({name}: {time.monotonic() - start:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
