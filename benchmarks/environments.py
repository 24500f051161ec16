"""``--env auto``: an environment of 100 MB from cached wheels, against ``uv pip sync`` alone."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import zipfile
from typing import TYPE_CHECKING

from harness import MAR, PYTHON, Contender, costs_table, python, race

from mar_core.cache.environments import find_uv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness import Settings

HANDLER = "def handle(data, context):\n    return data\n"
PREPARE = "from mar_core import Recipe; Recipe(source='big.mar', env={!r}).prepare()"
PACKAGES, FILES = 5, 400
WHEEL = "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def tables(settings: Settings) -> Iterator[str]:
    """One table: making it, finding it again, and uv's own two commands."""
    folder, cache = settings.folder, os.environ["MAR_CACHE_DIR"]
    size = settings.pick(quick=1, normal=100, full=100)
    (folder / "uv.toml").write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
    variables = {"UV_CONFIG_FILE": str(folder / "uv.toml"), "UV_CACHE_DIR": str(folder / "uv")}
    names = [make_wheel(folder, f"part{number}", size) for number in range(PACKAGES)]
    (folder / "handler.py").write_text(HANDLER)
    (folder / "requirements.txt").write_text("\n".join(names))
    flags = ["--model-name", "big", "--version", "1.0", "--handler", "handler.py", "--force"]
    archive = [MAR, "archive", *flags, "--requirements-file", "requirements.txt", "--lock"]
    race({"lock": Contender(words=archive, variables=variables)}, rounds=0, folder=folder)
    unpack = [MAR, "unpack", "big.mar", "big", "--force"]
    race({"unpack": Contender(words=unpack)}, rounds=0, folder=folder)
    uv, venv = shlex.quote(find_uv()), folder / "venv"
    alone = (
        f"{uv} venv -q -p {PYTHON} {venv} && "
        f"{uv} pip sync -q -p {venv}/bin/python --require-hashes big/pylock.toml"
    )

    def forget(path: str | Path) -> None:
        shutil.rmtree(path, ignore_errors=True)

    mar = python(PREPARE.format("auto"))
    contenders = {
        "mar, --env off": Contender(words=python(PREPARE.format("off"))),
        "uv venv, uv pip sync": Contender(
            words=["bash", "-c", alone], variables=variables, before=lambda: forget(venv)
        ),
        "mar, first": Contender(words=mar, variables=variables, before=lambda: forget(cache)),
        "mar, again": Contender(words=mar, variables=variables),
    }
    race(contenders, rounds=settings.rounds, folder=folder)
    title = f"An environment of {size} MB in {PACKAGES * FILES:,} files, its wheels cached"
    yield costs_table(title, contenders, base="uv venv, uv pip sync")


def make_wheel(folder: Path, name: str, megabytes: int) -> str:
    """A wheel with its share of the bytes, which do not compress; its requirement."""
    noise, info = random.Random(name), f"{name}-1.0.dist-info"
    share = megabytes * 1_000_000 // (PACKAGES * FILES)
    members = {f"{name}/data{number}.bin": noise.randbytes(share) for number in range(FILES)}
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
    members[f"{info}/WHEEL"] = WHEEL.encode()
    members[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in members).encode()
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as packed:
        for member, content in members.items():
            packed.writestr(member, content)
    return f"{name}==1.0"
