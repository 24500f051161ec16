"""How workers die, in words, and who must run again."""

from __future__ import annotations

import signal

import pytest

from mar_core import Death, WorkerDied
from mar_core.runtime.deaths import PIECES, Part, part_of


@pytest.mark.parametrize(
    ("death", "kind", "code", "says"),
    [
        (Death(code=-signal.SIGSEGV), "WorkerDied", 500, "was killed by SIGSEGV while"),
        (Death(code=-signal.SIGKILL), "MemoryError", 507, "as the system does when memory runs"),
        (Death(code=-signal.SIGKILL, seconds=2.5), "TimeoutError", 500, "no answer within 2.5 s"),
        (Death(code=7), "WorkerDied", 500, "ended with exit code 7 while"),
        (Death(code=-250), "WorkerDied", 500, "was killed by signal 250"),
    ],
)
def test_a_death_in_words(death, kind, code, says):
    failure = death.failure()
    assert (failure.stage, failure.type, failure.code) == ("worker", kind, code)
    assert says in failure.message
    assert death.may_be_memory == (kind == "MemoryError")
    reply = WorkerDied(death, Part(begun=True, alone=True)).reply()
    assert (reply.status, reply.public, reply.failure) == (code, "Worker died.", failure)


@pytest.mark.parametrize("size", [2, PIECES - 1, PIECES, PIECES + 1, 10 * PIECES + 3])
def test_a_deadly_batch_is_cut_small(size):
    batch = list(range(size))
    parts = Part(begun=True, alone=True).again(batch)
    assert [one for part in parts for one in part] == batch
    assert max(map(len, parts)) <= max(1, size // PIECES)


def test_a_single_request_that_was_alone_is_not_tried_again():
    assert Part(begun=True, alone=True).again(["x"]) == []


def test_the_worker_s_own_count_tells_who_had_a_part():
    # Calls 0 to 2 were finished, 3 and 4 begun, 5 waited.
    parts = [part_of(call, begun=5, finished=3) for call in range(6)]
    assert [part.begun for part in parts] == [False, False, False, True, True, False]
    assert not any(part.alone for part in parts)
    assert part_of(3, begun=4, finished=3) == Part(begun=True, alone=True)


def test_what_had_no_part_or_a_doubtful_one_runs_again_whole():
    assert Part(begun=False, alone=False).again([1, 2]) == [[1, 2]]
    error = WorkerDied(Death(code=1), Part(begun=True, alone=False))
    assert (error.again([1, 2]), error.alone) == ([[1, 2]], True)
