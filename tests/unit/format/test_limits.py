"""What an archive may hold and cost: the numbers, who may change them, and that they hold."""

from __future__ import annotations

import time

import pytest

from mar_core.errors import UsageError
from mar_core.format import limits
from mar_core.format.limits import Limits, TimeBudget, TooCostly, budget, parse_size, spend

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch):
    for name in ("MAR_MAX_SIZE", "MAR_MAX_SECONDS", "MAR_MAX_MEMORY"):
        monkeypatch.delenv(name, raising=False)


def test_what_an_archive_may_unpack_to(monkeypatch):
    assert Limits().total(0) == 256 * MIB
    assert Limits().total(1000) == 256 * MIB + 20_000
    monkeypatch.setenv("MAR_MAX_SIZE", "2K")
    assert Limits().total(1000) == 2048
    assert Limits(max_size=7).total(1000) == 7
    monkeypatch.setenv("MAR_MAX_SIZE", "much")
    with pytest.raises(UsageError, match="MAR_MAX_SIZE is 'much'"):
        Limits().total(1000)


def test_as_much_as_is_allowed_is_allowed():
    few = Limits(max_members=3, max_size=100)
    assert few.too_many(3) is None
    assert few.too_many(4).code == "MAR-L001"
    assert "has 4 members; at most 3" in few.too_many(4).message
    assert few.too_large(100, 9) is None
    assert few.too_large(101, 9).code == "MAR-L002"
    assert "of 9 bytes unpacks to 101 bytes or more; 100 are allowed" in str(few.too_large(101, 9))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("1048576", MIB), ("500M", 500 * MIB), ("20G", 20 << 30), ("1T", 1 << 40),
        ("3k", 3072), (" 7 KiB ", 7168), ("2mb", 2 * MIB), ("5B", 5),
    ],
)  # fmt: skip
def test_sizes(text, size):
    assert parse_size(text, name="x") == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "1P", "1 2", "9" * 16, "0x10", "1M\n2"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError, match=r"--limit is .* which is no size") as error:
        parse_size(text, name="--limit")
    assert "500M" in (error.value.hint or "")


def test_the_seconds_that_looking_may_take(monkeypatch):
    assert limits.seconds_allowed(0) == 2
    assert limits.seconds_allowed(500 * MIB) == 12
    monkeypatch.setenv("MAR_MAX_SECONDS", "7.5")
    assert limits.seconds_allowed(500 * MIB) == 7.5
    monkeypatch.setenv("MAR_MAX_SECONDS", "inf")
    assert 1e6 < limits.seconds_allowed(0) < float("inf")
    monkeypatch.setenv("MAR_MAX_SECONDS", "0")
    assert limits.seconds_allowed(500 * MIB) == 0
    for text in ("many", "nan", "-1"):
        monkeypatch.setenv("MAR_MAX_SECONDS", text)
        with pytest.raises(UsageError, match=f"MAR_MAX_SECONDS is '{text}'"):
            limits.seconds_allowed(0)


def test_the_memory_that_looking_may_take(monkeypatch):
    assert limits.memory_allowed() == 300 * MIB
    monkeypatch.setenv("MAR_MAX_MEMORY", "2G")
    assert limits.memory_allowed() == 2 << 30
    monkeypatch.setenv("MAR_MAX_MEMORY", "999999999999999T")
    assert limits.memory_allowed() < 1 << 62
    monkeypatch.setenv("MAR_MAX_MEMORY", "lots")
    with pytest.raises(UsageError, match="MAR_MAX_MEMORY is 'lots'"):
        limits.memory_allowed()


def work():
    """Take some of the thread's time, so that a budget of none is over."""
    until = time.thread_time() + 0.002
    while time.thread_time() < until:
        pass


def test_the_clock_is_asked_once_in_a_while():
    over = TimeBudget(0.001)
    assert not over.spent
    work()
    over.take(255)
    assert not over.spent
    with pytest.raises(TooCostly, match=r"more than 0\.001 seconds") as error:
        over.take(1)
    assert (error.value.finding.code, over.spent) == ("MAR-L003", True)
    assert error.value.finding.message == "The archive costs more than 0.001 seconds to examine."
    assert "MAR_MAX_SECONDS" in (error.value.hint or "")
    with pytest.raises(TooCostly):
        over.take(1)  # it stays so, and nobody asks the clock again
    enough = TimeBudget(1000)
    for _ in range(1000):
        enough.take(256)
    enough.check()


def test_counting_begins_again_when_the_clock_was_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(limits, "_clock", lambda: asked.append(1) or 0.0)
    enough = TimeBudget(1)
    for _ in range(512):
        enough.take(1)
    assert len(asked) == 1 + 2


def test_what_is_spent_counts_for_the_examination_around(monkeypatch):
    spend(10**6)  # outside of any there is nothing to count
    monkeypatch.setenv("MAR_MAX_SECONDS", "0.001")
    with budget(0) as outer:
        with budget(1 << 40) as inner:
            assert inner is outer
        work()
        with pytest.raises(TooCostly):
            spend(256)
    assert outer.spent
    spend(10**6)
    with budget(0) as another:
        assert another is not outer
        assert not another.spent
