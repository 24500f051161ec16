"""How a stream of inputs is cut into what one call of an actor answers."""

from __future__ import annotations

import functools

from mar_ray.chunks import MOST_INPUTS, Chunker, batch_size_of

from mar_core import Input, Recipe
from mar_core.testing import make_archive


def inputs(count, size=None):
    read = functools.partial(dict, data=1)
    return (Input(id=str(n), read=read, size=size) for n in range(count))


def sizes(chunker, seconds_each):
    found = []
    for chunk in chunker:
        found.append(len(chunk))
        chunker.learn(len(chunk), len(chunk) * seconds_each)
    return found


def test_chunks_are_whole_batches_and_nothing_is_left_out():
    found = sizes(Chunker(inputs(1001), batch=8), 0.01)
    assert all(size % 8 == 0 for size in found[:-1])
    assert sum(found) == 1001


def test_chunks_grow_to_a_second_of_work():
    assert sizes(Chunker(inputs(600), batch=1), 0.01)[-2] in range(64, 101)


def test_chunks_of_what_is_slow_stay_one_batch():
    assert set(sizes(Chunker(inputs(40), batch=4), 5.0)) == {4}


def test_chunks_stop_growing():
    assert max(sizes(Chunker(inputs(40_000), batch=1), 1e-7)) == MOST_INPUTS


def test_chunks_of_large_inputs_stay_small():
    found = sizes(Chunker(inputs(100, size=5 << 20), batch=2), 0.001)
    assert max(found) == 4


def test_inputs_are_taken_as_they_come():
    def endless():
        while True:
            yield next(inputs(1))

    assert len(next(iter(Chunker(endless(), batch=3)))) == 3


def test_the_batch_size_is_the_archives(tmp_path):
    (tmp_path / "handler.py").write_text("def handle(data, context):\n    return data\n")
    archive = make_archive(tmp_path, handler=tmp_path / "handler.py", config={"batchSize": 16})
    assert batch_size_of(Recipe(source=archive)) == 16
    assert batch_size_of(Recipe(source=archive, batch_size=3)) == 3
