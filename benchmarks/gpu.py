"""Keep a GPU busy: ResNet-50 in bfloat16, JPEGs in and classes out, in five minutes on one device.

``python benchmarks/gpu.py`` prints

- pictures a second, of the same network on ready tensors and of a worker of mar's on JPEGs that the
  CPU decodes, or the device (torchcodec), with how busy the device was meanwhile;
- how much of the copies to the device went on beside its work;
- the time to the first answer of a compiled model, with an empty cache and with a full one.

Answers are compared first, with those of the network called by hand. ``--device cpu --quick`` shows
without a GPU that it works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from harness import HERE, MAR, PYTHON, table
from pictures import make_pictures

from mar_core import Input, LocalWorkers, Recipe, RunOptions, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NETWORK = """
from torchvision.models.resnet import Bottleneck, ResNet


class Network(ResNet):
    def __init__(self):
        super().__init__(Bottleneck, LAYERS)
"""
MAKE = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from network import Network
torch.manual_seed(0)
network = Network().eval()
with torch.inference_mode():
    # Classes of all depths of the network differ enough to be told apart, and not beyond bfloat16.
    scale = 5 / network(torch.randn(2, 3, 224, 224)).std()
    network.fc.weight *= scale
    network.fc.bias *= scale
torch.save(network.state_dict(), sys.argv[2])
"""
# Of probabilities, between the same network in bfloat16 on batches of different sizes.
TOLERANCE = 0.02
COMPUTING = {"dtype": "bfloat16", "channels_last": True}
BUDGET = 300


class Bench:
    """What is measured, and on what.

    Args:
        folder: Where everything is made.
        device: ``cuda`` or ``cpu``.
        quick: Toy sizes.
    """

    def __init__(self, folder: Path, device: str, *, quick: bool) -> None:
        self.folder, self.device, self.quick = folder, device, quick
        self.batch = 4 if quick else 64
        self.number = 8 if quick else 4096
        layers = [1, 1, 1, 1] if quick else [3, 4, 6, 3]
        (folder / "network.py").write_text(NETWORK.replace("LAYERS", str(layers)))
        self.weights = folder / "w.pt"
        subprocess.run([PYTHON, "-c", MAKE, folder, self.weights], check=True)
        self.pictures = self._pictures()
        self.archive = self.archive_with("plain", f"handler: {_yaml(COMPUTING)}\n")

    def _pictures(self) -> list[Path]:
        made = make_pictures(self.folder / "pictures", 8 if self.quick else 512)
        paths = sorted(made.glob("*.jpg"))
        return list(itertools.islice(itertools.cycle(paths), self.number))

    def archive_with(self, name: str, config: str) -> Path:
        """The archive of the network with a model-config.yaml."""
        (self.folder / f"{name}.yaml").write_text(config)
        words = [MAR, "archive", "--model-name", name, "--version", "1.0", "--quiet", "--force"]
        words += ["--model-file", self.folder / "network.py", "--serialized-file", self.weights]
        words += ["--handler", "image_classifier", "--export-path", self.folder]
        words += ["--config-file", self.folder / f"{name}.yaml"]
        subprocess.run(words, check=True)
        return self.folder / f"{name}.mar"

    def inputs(self, number: int) -> list[Input]:
        """So many of the pictures as requests."""
        return [Input(id=str(path), read=_reading(path)) for path in self.pictures[:number]]

    def network(self) -> torch.nn.Module:
        """The same network, made by hand."""
        sys.path.insert(0, str(self.folder))
        from network import Network  # the one that was just written

        model = Network()
        model.load_state_dict(torch.load(self.weights, mmap=True, weights_only=True))
        model = model.eval().to(self.device, torch.bfloat16)
        return model.to(memory_format=torch.channels_last)

    @contextlib.contextmanager
    def worker(self, archive: Path) -> Iterator[LocalWorkers]:
        """A worker process that has an archive loaded."""
        recipe = Recipe(source=archive, device=self.device)
        workers = LocalWorkers(recipe, RunOptions(batch_size=self.batch))
        try:
            yield workers
        finally:
            workers.close()


def _reading(path: Path) -> Callable[[], dict[str, bytes]]:
    return lambda: {"data": path.read_bytes()}


def _yaml(options: dict[str, object]) -> str:
    said = ", ".join(f"{name}: {str(value).lower()}" for name, value in options.items())
    return f"{{{said}}}"


def same_answers(bench: Bench, archive: Path) -> None:
    """The worker's classes have the probabilities that the network gives by hand."""
    from PIL import Image
    from plain_loop import TRANSFORM

    number = min(2 * bench.batch, bench.number)
    model = bench.network()
    with bench.worker(archive) as workers:
        outcomes = workers.run(bench.inputs(number))
    for outcome, path in zip(outcomes, bench.pictures, strict=False):
        assert outcome.failure is None, outcome.failure
        with Image.open(path) as image, torch.inference_mode():
            batch = TRANSFORM(image.convert("RGB"))[None].to(bench.device, torch.bfloat16)
            scores = model(batch.contiguous(memory_format=torch.channels_last)).float()
        expected = torch.softmax(scores, dim=1)[0]
        assert max(outcome.result.values()) > 2 * TOLERANCE, outcome.result  # else all pass
        for label, probability in outcome.result.items():
            assert abs(float(expected[int(label)]) - probability) < TOLERANCE, (path, label)
    print(f"{archive.name}: {number} answers are those of the network, to within {TOLERANCE}.\n")


def throughput(bench: Bench) -> str:
    """Pictures a second on ready tensors, and from JPEGs."""
    rows = []
    ready, busy = measured(functools.partial(on_ready_tensors, bench), bench)
    rows.append(("ready tensors", f"{ready:.0f}", "1.00", busy))
    cases = {"mar, JPEGs": bench.archive}
    options = {**COMPUTING, "cuda_graphs": True}
    cases["mar, JPEGs, cuda_graphs"] = bench.archive_with("graphs", f"handler: {_yaml(options)}\n")
    if find_spec("torchcodec"):
        options = {**COMPUTING, "decoder": "torchcodec"}
        there = bench.archive_with("decoder", f"handler: {_yaml(options)}\n")
        same_answers(bench, there)
        cases["mar, JPEGs decoded there"] = there
    for name, archive in cases.items():
        with bench.worker(archive) as workers:
            workers.run(bench.inputs(min(4 * bench.batch, bench.number)))  # warms up
            run = functools.partial(_run_all, workers, bench.inputs(bench.number))
            speed, busy = measured(run, bench)
        rows.append((name, f"{speed:.0f}", f"{speed / ready:.2f}", busy))
    head = ("", "pictures a second", "of ready tensors", "device busy")
    title = f"{bench.number:,} pictures, batches of {bench.batch}, {os.cpu_count()} cores"
    return table(title, head, rows)


def on_ready_tensors(bench: Bench) -> float:
    """Pictures a second of the network alone."""
    model = bench.network()
    batch = torch.rand(bench.batch, 3, 224, 224, device=bench.device, dtype=torch.bfloat16)
    batch = batch.contiguous(memory_format=torch.channels_last)
    rounds = 1 if bench.quick else bench.number // bench.batch
    with torch.inference_mode():
        for _ in range(1 if bench.quick else 10):
            model(batch)
        _synchronize(bench)
        start = time.perf_counter()
        for _ in range(rounds):
            model(batch)
        _synchronize(bench)
    return rounds * bench.batch / (time.perf_counter() - start)


def _run_all(workers: LocalWorkers, inputs: list[Input]) -> float:
    start = time.perf_counter()
    outcomes = workers.run(inputs)
    seconds = time.perf_counter() - start
    assert all(outcome.failure is None for outcome in outcomes)
    return len(outcomes) / seconds


def measured(run: Callable[[], float], bench: Bench) -> tuple[float, str]:
    """What a run returns, and how busy the device was, in percent, while it went on."""
    if bench.device == "cpu" or not shutil.which("nvidia-smi"):
        return run(), "-"
    words = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    # Its numbers are not PyTorch's: CUDA_VISIBLE_DEVICES changes only those.
    words += ["-i", f"GPU-{torch.cuda.get_device_properties(0).uuid}", "-lms", "100"]
    seen: list[int] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        collecting = threading.Thread(target=_collect, args=(process.stdout, seen))
        collecting.start()
        try:
            speed = run()
        finally:
            process.kill()
            collecting.join()
    # A sample is of the time before it; the first and the last are of what was not measured.
    kept = seen[1:-1]
    return speed, f"{sum(kept) / len(kept):.0f} %" if kept else "?"


def _collect(stream, seen: list[int]) -> None:
    for line in stream:
        with contextlib.suppress(ValueError):
            seen.append(int(line))


def overlap(bench: Bench) -> str:
    """How much of the copies to the device went on while it computed, by PyTorch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    from mar_core.runtime.batching import Batcher
    from mar_core.runtime.pipeline import overlapped

    kinds = [ProfilerActivity.CPU]
    kinds += [ProfilerActivity.CUDA] if bench.device == "cuda" else []
    with load(bench.archive, device=bench.device, batch_size=bench.batch) as predictor:
        runner = predictor.runner(independent=True)
        batcher = Batcher(size=bench.batch, by_length=False)
        inputs = bench.inputs(min(16 * bench.batch, bench.number))
        with profile(activities=kinds) as profiler:
            for outcomes, _ in overlapped(runner, batcher.batches(inputs)):
                assert all(outcome.failure is None for outcome in outcomes)
    events = [one for one in profiler.events() if one.device_type.name == "CUDA"]
    copies = _spans(one for one in events if "HtoD" in one.name)
    kernels = _spans(one for one in events if not one.name.startswith("Mem"))
    total = sum(end - start for start, end in copies)
    beside = shared(copies, kernels)
    share = f"{beside / total:.0%}" if total else "-"
    row = ("copies to the device", f"{total / 1000:.1f}", f"{beside / 1000:.1f}", share)
    head = ("", "ms", "ms beside work", "share")
    return table(f"{len(inputs)} pictures, stages overlapping", head, [row])


def _spans(events) -> list[tuple[float, float]]:
    """The times in which one of these went on, joined."""
    spans: list[tuple[float, float]] = []
    for start, end in sorted((one.time_range.start, one.time_range.end) for one in events):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans


def shared(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> float:
    """How long spans of both went on at once."""
    both, at = 0.0, 0
    for start, end in first:
        while at < len(second) and second[at][1] <= start:
            at += 1
        place = at
        while place < len(second) and second[place][0] < end:
            both += min(end, second[place][1]) - max(start, second[place][0])
            place += 1
    return both


def compiling(bench: Bench) -> str:
    """The first answer of a compiled model, with an empty cache and with what it left there."""
    archive = bench.archive_with(
        "compiled", f"pt2: inductor\nhandler: {_yaml({'dtype': 'bfloat16'})}\n"
    )
    seconds = {}
    for name in ("empty cache", "full cache"):
        start = time.perf_counter()
        with bench.worker(archive) as workers:
            (outcome,) = workers.run(bench.inputs(1))
            seconds[name] = time.perf_counter() - start
        assert outcome.failure is None, outcome.failure
    rows = [(name, f"{value:.1f}") for name, value in seconds.items()]
    return table("From the start of a worker to its first answer, torch.compile", ("", "s"), rows)


def _synchronize(bench: Bench) -> None:
    if bench.device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="toy sizes: only shows that it works")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no CUDA device here, and nothing else is measured by this script.")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mar-gpu-") as scratch:
        os.environ["MAR_CACHE_DIR"] = str(Path(scratch, "cache"))
        bench = Bench(Path(scratch), args.device, quick=args.quick)
        device = torch.cuda.get_device_name() if args.device == "cuda" else "the CPU"
        print(f"{device}, PyTorch {torch.__version__}, from {HERE.name}/gpu.py\n")
        same_answers(bench, bench.archive)
        for measure in (throughput, overlap, compiling):
            if time.monotonic() - began > BUDGET:
                print(f"({measure.__name__} is left out: the five minutes are over)")
                continue
            print(measure(bench), flush=True)
        print(f"({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
