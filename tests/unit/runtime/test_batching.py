"""How inputs become batches, and how ``auto`` finds their size."""

from __future__ import annotations

import functools
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mar_core import Input, Outcome
from mar_core.run.engines import outcomes_in_order
from mar_core.runtime.feed import LARGEST, WINDOW, Batcher


def inputs(sizes):
    return (
        Input(id=str(number), read=functools.partial(json.loads, "{}"), size=size)
        for number, size in enumerate(sizes)
    )


def drive(batcher, cost, *, fits=LARGEST):
    """Run 20,000 inputs on a machine on which ``size`` inputs take ``cost(size)`` seconds."""
    sizes = []
    for batch in batcher.batches(inputs([1] * 20_000)):
        sizes.append(len(batch))
        fitting = None if len(batch) <= fits else len(batch)
        batcher.report(len(batch), {"inference": cost(len(batch))}, out_of_memory=fitting)
    return sizes


@given(st.lists(st.integers(0, 50), max_size=80), st.integers(1, 7), st.booleans())
def test_every_input_is_in_one_batch(sizes, size, by_length):
    batches = list(Batcher(size=size, by_length=by_length).batches(inputs(sizes)))
    places = [index for batch in batches for index, _ in batch]
    assert sorted(places) == list(range(len(sizes)))
    assert all(0 < len(batch) <= size for batch in batches)
    assert all(item.id == str(index) for batch in batches for index, item in batch)
    assert by_length or places == sorted(places)


def test_places_count_on_from_one_stream_to_the_next():
    batcher = Batcher(size=2)
    places = [
        [index for batch in batcher.batches(inputs([1] * count)) for index, _ in batch]
        for count in (3, 0, 2)
    ]
    assert places == [[0, 1, 2], [], [3, 4]]


def test_neighbours_of_one_length_share_a_batch():
    lengths = [1, 100] * (4 * WINDOW)
    batcher = Batcher(size=4, by_length=True)
    batches = list(batcher.batches(inputs(lengths)))
    assert {len({item.size for _, item in batch}) for batch in batches} == {1}
    reach = batcher.reach
    assert reach == 4 * WINDOW
    for number, batch in enumerate(batches):
        assert {index // reach for index, _ in batch} == {number * 4 // reach}


def test_single_inputs_do_not_wait_for_others():
    given_out = []
    source = (given_out.append(item) or item for item in inputs([3, 1, 2]))
    first = next(Batcher(size=1, by_length=True).batches(source))
    assert [index for index, _ in first] == [0]
    assert len(given_out) == 1


@pytest.mark.parametrize(
    ("cost", "settles"),
    [
        (lambda size: 0.010 + 0.0001 * size, LARGEST),  # a fixed cost for each call
        (lambda size: 0.001 * size, 1),  # nothing is won by a larger batch
        (lambda size: max(0.016, 0.001 * size), 16),  # a device that is full at 16
        (lambda size: 0.008 + 0.001 * size if size <= 64 else 1.0, 64),  # and one that thrashes
        (lambda _: 0.0, LARGEST),  # faster than the clock
    ],
)
def test_auto_settles_on_the_fastest(cost, settles):
    assert drive(Batcher(size="auto"), cost)[-2] == settles


def test_auto_is_not_misled_by_one_slow_batch():
    ticks = itertools.cycle([0.01, 0.05, 0.01])
    noisy = drive(Batcher(size="auto"), lambda _: next(ticks))
    assert noisy[-2] == LARGEST


@pytest.mark.parametrize("size", ["auto", 100])
@pytest.mark.parametrize("fits", [1, 3, 20, 64])
def test_backs_off_from_what_does_not_fit(size, fits):
    sizes = drive(Batcher(size=size), lambda _: 0.01, fits=fits)
    settled = sizes[-2]
    assert settled <= fits < settled * 4
    assert sum(one > fits for one in sizes) < 10


def test_what_was_given_out_before_teaches_nothing():
    batcher = Batcher(size="auto")
    for _ in range(100):
        batcher.report(7, {"inference": 1e-9})
    assert batcher.size == 1


@given(st.lists(st.lists(st.integers(), max_size=4)), st.randoms())
def test_outcomes_are_put_in_order(shape, random):
    places = list(range(sum(map(len, shape))))
    random.shuffle(places)
    left = iter(places)
    groups = [[Outcome(index=next(left), id="x") for _ in group] for group in shape]
    assert [one.index for one in outcomes_in_order(groups)] == sorted(places)


def test_outcomes_come_as_soon_as_they_can():
    taken = []

    def groups():
        for indices in ([0], [2, 3], [1], [4]):
            taken.append(indices)
            yield [Outcome(index=index, id="x") for index in indices]

    ordered = outcomes_in_order(groups())
    assert next(ordered).index == 0
    assert len(taken) == 1
    assert [next(ordered).index for _ in range(3)] == [1, 2, 3]
    assert len(taken) == 3
