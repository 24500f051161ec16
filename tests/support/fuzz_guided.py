"""The fuzzer of archives, led by what its changes reach: atheris, where it is installed.

``python fuzz_guided.py [libFuzzer's options] [CORPUS]``: an input is a byte that names the seed and
the member that is replaced, and then that member's content. A crash is what ``fuzz.problem`` says.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mar_core"]):
    import mar_core.checks
    import mar_core.format
    import mar_core.handlers
    import mar_core.reports
    import mar_core.weights

    # What looking imports only when it meets it must be watched, too.
    for room in (mar_core.format, mar_core.weights, mar_core.handlers, mar_core.checks,
                 mar_core.reports):  # fmt: skip
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)
    import fuzz

    from mar_core.plugins import get_plugins

TARGETS = [
    (seed, name) for seed in fuzz.SEEDS for name in fuzz.seeds()[seed] if name != "handler.py"
]


def examine(data: bytes) -> None:
    """Look at one archive; what goes wrong is raised."""
    if not data:
        return
    seed, name = TARGETS[data[0] % len(TARGETS)]
    files = dict(fuzz.seeds()[seed])
    files[name] = data[1:]
    with tempfile.TemporaryDirectory() as scratch:
        found = fuzz.problem(fuzz.write(Path(scratch), files, "zip-store"), get_plugins())
    if found is not None:
        raise RuntimeError(f"{seed}, {name}: {found}")


def change(data: bytes, most: int, seed: int) -> bytes:
    """One of our changes, which know the formats, or one of libFuzzer's."""
    rng = random.Random(seed)
    if len(data) > 1 and rng.random() < 0.5:
        return data[:1] + fuzz.changed(rng, data[1:])[: most - 1]
    return bytes(atheris.Mutate(data, most))


def main() -> None:
    """Begin with the sound members, and go on until libFuzzer's options end it."""
    corpus = Path(next((word for word in sys.argv[1:] if not word.startswith("-")), "fuzz-corpus"))
    corpus.mkdir(exist_ok=True)
    for number, (seed, name) in enumerate(TARGETS):
        (corpus / f"seed-{number}").write_bytes(bytes([number]) + fuzz.seeds()[seed][name])
    options = [word for word in sys.argv[1:] if word != str(corpus)]
    atheris.Setup(
        [sys.argv[0], "-max_len=65536", *options, str(corpus)], examine, custom_mutator=change
    )
    with fuzz.limited():
        atheris.Fuzz()


if __name__ == "__main__":
    main()
