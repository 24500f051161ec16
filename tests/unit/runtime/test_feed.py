"""Inputs on their way to the workers: none is lost, and few bytes are read ahead."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from mar_core.records import Input
from mar_core.runtime import feed
from mar_core.runtime.feed import AHEAD_BYTES, PARCEL_BYTES, Batcher, Feed


class Source:
    """Counts what is read and says how large it is, without holding that much."""

    def __init__(self, size):
        self.size = size
        self.read = 0
        self._lock = threading.Lock()

    def inputs(self, count):
        for number in range(count):
            yield Input(id=str(number), read=self._read, size=self.size)

    def _read(self):
        with self._lock:
            self.read += 1
        return {"data": b""}


def drain(fed, waked):
    """Every parcel, each waited for."""
    while not fed.exhausted:
        waked.clear()
        parcel = fed.take()
        if parcel is not None:
            yield parcel
        elif not fed.exhausted:
            waked.wait(0.05)


def started(inputs, *, size=1, ahead=8):
    waked = threading.Event()
    return Feed(inputs, Batcher(size=size), ahead=ahead, wake=waked.set), waked


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 2 * AHEAD_BYTES)), max_size=40),
    st.integers(1, 5),
)
def test_every_input_comes_once_and_in_order(sizes, batch):
    inputs = [Input(id=str(number), read=dict, size=size) for number, size in enumerate(sizes)]
    fed, waked = started(iter(inputs), size=batch)
    rows = [row.id for parcel in drain(fed, waked) for call in parcel.calls for row in call.rows]
    fed.close()
    assert rows == [one.id for one in inputs]


def test_large_inputs_are_not_read_far_ahead(monkeypatch):
    """Nothing is taken: what is read by then is the budget, and no more."""
    settled = threading.Event()
    wait = Feed._wait_for_room

    def waiting(self, size):
        if self._bytes + size > AHEAD_BYTES:
            settled.set()
        wait(self, size)

    monkeypatch.setattr(Feed, "_wait_for_room", waiting)
    source = Source(PARCEL_BYTES // 2)
    fed, waked = started(source.inputs(50), ahead=64)
    assert settled.wait(60)
    assert source.read <= AHEAD_BYTES // source.size
    assert sum(len(parcel.calls) for parcel in drain(fed, waked)) == 50
    fed.close()


def test_a_parcel_is_cut_where_its_bytes_are_many():
    source = Source(PARCEL_BYTES // 3)
    fed, waked = started(source.inputs(20))
    fed._per_call = 1e-9  # quick batches travel together as far as their bytes allow
    assert max(len(parcel.calls) for parcel in drain(fed, waked)) <= 3
    fed.close()


def test_closing_ends_the_wait_for_room():
    fed, _ = started(Source(AHEAD_BYTES).inputs(10**9), ahead=64)
    fed.close()
    fed._thread.join(60)
    assert not feed.is_waiting()
