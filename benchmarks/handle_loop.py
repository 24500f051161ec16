"""An opponent of the batch benchmark: the archive's own ``handle()``, one batch after the other.

Run as ``python handle_loop.py PICTURES ARCHIVE OUTPUT --batch-size N``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mar_core import load


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures", type=Path)
    parser.add_argument("archive", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    paths = sorted(args.pictures.glob("*.jpg"))
    with load(args.archive) as model, args.output.open("w") as output:
        handler = model.loaded.instance
        for start in range(0, len(paths), args.batch_size):
            names = paths[start : start + args.batch_size]
            rows = [{"body": bytearray(path.read_bytes())} for path in names]
            for name, result in zip(names, handler.handle(rows, model.context), strict=True):
                output.write(json.dumps({"id": str(name), "result": result}) + "\n")


if __name__ == "__main__":
    main()
