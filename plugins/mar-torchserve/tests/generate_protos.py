"""Makes the Python modules of the ``.proto`` files: ``python …/generate_protos.py [FOLDER]``."""

from __future__ import annotations

import importlib.resources
import sys
from pathlib import Path

from google.rpc import status_pb2
from grpc_tools import protoc

SOURCES = Path(__file__).parents[1] / "src"
FOLDER = Path("mar_torchserve/grpc_api/protos")


def generate(target: Path) -> None:
    """Write the modules of every ``.proto`` file below a folder."""
    includes = [
        SOURCES,
        Path(str(importlib.resources.files("grpc_tools"))) / "_proto",
        Path(status_pb2.__file__).parents[2],
    ]
    files = sorted(str(path) for path in (SOURCES / FOLDER).glob("*.proto"))
    words = ["protoc", *(f"-I{path}" for path in includes)]
    if protoc.main([*words, f"--python_out={target}", f"--pyi_out={target}", *files]):
        raise SystemExit("protoc failed")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCES)
