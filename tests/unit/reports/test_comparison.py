"""Results are compared piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mar_core.reports.comparison import Tolerance, differences

RESULTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def found(expected, got, **tolerance):
    return [str(one) for one in differences(expected, got, tolerance=Tolerance(**tolerance))]


@given(RESULTS)
def test_anything_equals_itself(result):
    assert not found(result, result)


@pytest.mark.parametrize(
    ("expected", "got", "says"),
    [
        (7, 8, "result: expected 7, got 8 (off by 1)"),
        (1.0, 1.1, "result: expected 1.0, got 1.1 (off by 0.1)"),
        ("cat", "dog", "result: expected cat, got dog"),
        ([1, 2], [1, 3], "result[1]: expected 2, got 3 (off by 1)"),
        ([1, 2], [1], "result: expected 2 items, got 1 items"),
        ({"a": {"b": 0.5}}, {"a": {"b": 0.7}}, "result.a.b: expected 0.5, got 0.7 (off by 0.2)"),
        ({"a": 1}, {"b": 1}, "result.a: expected 1, got nothing"),
        ({}, {"b": 1}, "result.b: expected nothing, got 1"),
        (True, 1, "result: expected True, got 1"),
        (None, 0, "result: expected None, got 0"),
        ([], {}, "result: expected [], got {}"),
        ("x" * 99, "", f"result: expected {'x' * 57}..., got "),
        ("NaN", 0.0, "result: expected NaN, got 0.0 (off by nan)"),
        ("Infinity", "-Infinity", "result: expected Infinity, got -Infinity (off by inf)"),
    ],
)
def test_a_difference_is_named(expected, got, says):
    assert found(expected, got)[0] == says


def test_every_place_that_differs_is_named_in_order():
    expected, got = {"a": [1, 2], "b": "x"}, {"a": [3, 2], "b": "y", "c": 0}
    places = [one.place for one in differences(expected, got)]
    assert places == ["result.a[0]", "result.b", "result.c"]


def test_numbers_may_be_off_within_the_tolerance():
    assert not found(100.0, 100.09, relative=1e-3, absolute=0)
    assert found(100.0, 100.11, relative=1e-3, absolute=0)
    assert not found(0.0, 0.001, relative=0, absolute=0.001)
    assert not found(1, 1.0005)


def test_whole_numbers_are_counts_and_classes():
    assert found(1_000_000, 1_000_001)
