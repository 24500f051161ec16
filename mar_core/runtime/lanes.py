"""Streams of a CUDA device: while the model computes on one, others copy there and back.

Each thread that prepares or finishes batches has a stream of its own, and all inference is on the
device's default stream, in order. What a stage leaves is waited for on the device, not here: the
model's work on the next batch is under way before this one's has ended.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Lanes", "Passage", "lanes_of"]


def lanes_of(gpu_id: int | str | None) -> Lanes | None:
    """The lanes of a handler's device; None where it has no streams.

    Args:
        gpu_id: The number of the accelerator, or None for the CPU.
    """
    if gpu_id is None:
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    device = torch.device(f"cuda:{gpu_id}")
    torch.cuda.synchronize(device)  # the weights are there before any stream of ours looks
    return Lanes(torch.cuda, device)


class Lanes:
    """The streams of a device.

    Args:
        api: ``torch.cuda``, or what is like it.
        device: The device.
    """

    def __init__(self, api: Any, device: Any) -> None:
        self.api = api
        self._device = device
        self._computing = api.default_stream(device)
        self._mine = threading.local()

    def stream(self, stage: str) -> Any:
        """The stream that a stage works on in this thread."""
        if stage in {"inference", "explain"}:
            return self._computing
        if not hasattr(self._mine, "stream"):
            self._mine.stream = self.api.Stream(self._device)
        return self._mine.stream


class Passage:
    """One batch's way through the lanes.

    Until it ends it keeps what the stages hand on: memory that Python lets go of earlier could be
    given to another stream while the device still reads it.

    Args:
        lanes: The lanes.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._last: Any = None
        self._computed: tuple[Any, Any] | None = None
        self._kept: list[Any] = []

    @contextlib.contextmanager
    def on(self, stage: str, data: Any) -> Iterator[None]:
        """Work on a stage's stream, after whatever the batch left on the one before.

        Args:
            stage: The stage.
            data: What it is given.
        """
        api, stream = self._lanes.api, self._lanes.stream(stage)
        self._kept.append(data)
        with api.stream(stream):
            if self._last is not None:
                stream.wait_event(self._last)
            # Who waits for it leaves its core to others.
            begun, ended = (api.Event(enable_timing=True, blocking=True) for _ in range(2))
            begun.record(stream)
            try:
                yield
            finally:
                ended.record(stream)
                self._last = ended
                if stage == "inference":
                    self._computed = begun, ended

    def wait(self) -> float | None:
        """Wait until the device has done all that was asked for so far.

        Returns:
            How many seconds it computed in inference; None where that is not known.

        Raises:
            RuntimeError: The device found an error meanwhile.
        """
        if self._last is not None:
            self._last.synchronize()
        if self._computed is None:
            return None
        begun, ended = self._computed
        return float(begun.elapsed_time(ended)) / 1000

    def end(self) -> None:
        """Wait, and let go of what was kept.

        Raises:
            RuntimeError: The device found an error meanwhile.
        """
        try:
            self.wait()
        finally:
            self._kept.clear()
