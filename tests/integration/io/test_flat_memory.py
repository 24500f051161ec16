"""Many rows take what a thousand take, from the reader to the file."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import packs
import pytest

SUPPORT = str(Path(packs.__file__).parent)

PASS = """
    import sys
    from mar_core import Outcome, ReadOptions
    from mar_core.plugins import Plugins, new_manager
    from mar_core.run import readers
    from mar_core.run.inputs import expand
    from mar_core.run.writers import open_writer

    ours = Plugins(new_manager())
    ours.register(readers, "mar-readers")

    support, source, target = sys.argv[1:]
    sys.path.append(support)
    from peak import peak
    inputs = expand([source], ReadOptions(), ours.readers())
    with open_writer(target) as writer:
        batch = []
        for index, item in enumerate(inputs):
            batch.append(Outcome(index=index, id=item.id, result=item.read()))
            if len(batch) == 100:
                writer.write(batch)
                batch.clear()
        writer.write(batch)
    print(peak() >> 20)
"""


def peak(source, target) -> int:
    """The MiB that a pass of every row takes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PASS), SUPPORT, str(source), str(target)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.parametrize(
    ("ending", "rows"), [("jsonl", 300_000), ("json", 100_000), ("csv", 100_000)]
)
def test_memory_stays_flat(tmp_path, ending, rows):
    small, large = tmp_path / f"small.{ending}", tmp_path / f"large.{ending}"
    for path, count in ((small, 1000), (large, rows)):
        with path.open("w") as stream:
            before, between, after = {"json": ("[", ",\n", "]"), "jsonl": ("", "\n", "\n")}.get(
                ending, ("data\n", "\n", "\n")
            )
            cells = (str(n) if ending == "csv" else f'{{"data": {n}}}' for n in range(count))
            stream.write(before)
            stream.write(next(cells))
            stream.writelines(between + cell for cell in cells)
            stream.write(after)
    flat = peak(small, tmp_path / "small.out.jsonl")
    assert peak(large, tmp_path / "out.jsonl") < flat + 20
    with (tmp_path / "out.jsonl").open() as lines:
        count = -1
        for count, line in enumerate(lines):  # noqa: B007 - the last one is looked at
            pass
    last = str(rows - 1) if ending == "csv" else rows - 1
    assert count == rows - 1
    assert json.loads(line)["result"] == {"data": last}
