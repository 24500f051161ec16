"""What is printed."""

from __future__ import annotations

import pytest

from mar_core.text import first_line, plural


@pytest.mark.parametrize(
    ("said", "line"),
    [("One.\nTwo.", "One"), ("\n  One\n", "One"), ("", "ValueError"), (" \n ", "ValueError")],
)
def test_the_first_line_of_an_error_is_never_empty(said, line):
    assert first_line(ValueError(said)) == line


def test_a_noun_goes_with_its_number():
    assert [f"{count} {plural(count, 'row')}" for count in (0, 1, 2)] == [
        "0 rows",
        "1 row",
        "2 rows",
    ]
