"""Small models to archive, and the command line to archive them with."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "COMMAND",
    "HANDLER",
    "NETWORK",
    "archive_words",
    "mar",
    "mar_here",
    "model_folder",
    "weights",
]

COMMAND = (sys.executable, "-m", "mar_core")
HANDLER = "def handle(data, context):\n    return data\n"
NETWORK = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter()
"""


def weights(path: Path, size: int = 1 << 16) -> Path:
    """A safetensors file of one float32 tensor that takes ``size`` bytes, sparse on the disk."""
    told = {"weight": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size // 4 * 4]}}
    head = json.dumps(told).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(head)) + head)
        stream.truncate(8 + len(head) + size // 4 * 4)
    return path


def model_folder(folder: Path, *, size: int = 1 << 16) -> Path:
    """A folder with everything that an archive can hold."""
    (folder / "pkg" / "sub").mkdir(parents=True)
    (folder / "handler.py").write_text(HANDLER)
    (folder / "net.py").write_text(NETWORK)
    weights(folder / "weights.safetensors", size)
    (folder / "requirements.txt").write_text("numpy>=1.26\n")
    (folder / "model-config.yaml").write_text("batchSize: 4\n")
    (folder / "index_to_name.json").write_text(json.dumps({str(i): f"n{i}" for i in range(999)}))
    (folder / "pkg" / "__init__.py").write_text("")
    (folder / "pkg" / "sub" / "data.bin").write_bytes(bytes(range(256)) * 16)
    return folder


def archive_words(*words: str, name: str = "model") -> list[str]:
    """The arguments that archive everything in the current model folder."""
    return [
        *("archive", "--model-name", name, "--version", "1.0", "--handler", "handler.py"),
        *("--model-file", "net.py", "--serialized-file", "weights.safetensors"),
        *("-r", "requirements.txt", "-c", "model-config.yaml"),
        *("--extra-files", "index_to_name.json, pkg=pkg/"),
        *words,
    ]


def mar_here(*words: str | Path) -> None:
    """Run ``mar`` in this process and the current folder, where no new process is needed."""
    from mar_core.cli import app

    app([str(word) for word in words], standalone_mode=False)


def mar(
    *words: str | Path, cwd: Path, code: int | None = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``mar`` in a folder and expect an exit code, or any where it is None."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert code in {None, done.returncode}, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
