"""Classifications and found objects in the forms that models give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mar_core.run.shapes import best, found_in, label_scores
from mar_core.run.writers.formats import columns_of, flat_rows

BOX = [1, 2, 3, 4]
CLASSES = [
    {"dog": 0.25, "cat": 0.75},
    [{"label": "dog", "score": 0.25}, {"label": "cat", "score": 0.75}],
    {"labels": ["dog", "cat"], "scores": [0.25, 0.75]},
    {"classes": ["dog", "cat"], "probabilities": [0.25, 0.75]},
]
OBJECTS = [
    [{"dog": BOX, "score": 0.25}, {"cat": BOX, "score": 0.75}],
    [{"label": "dog", "score": 0.25, "box": BOX}, {"label": "cat", "score": 0.75, "box": BOX}],
    [{"class": "dog", "confidence": 0.25, "bbox": BOX},
     {"class": "cat", "confidence": 0.75, "bbox": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}}],
    {"labels": ["dog", "cat"], "scores": [0.25, 0.75], "boxes": [BOX, BOX]},
]  # fmt: skip


def flat(result, **options):
    return list(flat_rows({"id": "x", "result": result}, **options))


@pytest.mark.parametrize("result", CLASSES, ids=str)
def test_a_classification_is_a_label_and_a_score(result):
    assert label_scores(result) == [("cat", 0.75), ("dog", 0.25)]
    assert flat(result) == [{"id": "x", "label": "cat", "score": 0.75}]
    assert flat(result, top=2)[0]["label_2"] == "dog"
    assert flat(best(result, 1), top=1) == [{"id": "x", "label": "cat", "score": 0.75}]


@pytest.mark.parametrize("result", OBJECTS, ids=str)
def test_found_objects_have_a_row_each(result):
    assert label_scores(result) == [("cat", 0.75), ("dog", 0.25)]
    box = {f"box_{place}": value for place, value in enumerate(BOX)}
    assert flat(result) == [
        {"id": "x", "label": "dog", "score": 0.25, **box},
        {"id": "x", "label": "cat", "score": 0.75, **box},
    ]
    assert [one.label for one in found_in(best(result, 1))] == ["cat"]


def test_entities_keep_what_is_said_of_them():
    found = [{"entity_group": "PER", "score": 0.5, "word": "Jane", "start": 0, "end": 4}]
    assert flat(found) == [
        {"id": "x", "label": "PER", "score": 0.5, "word": "Jane", "start": 0, "end": 4}
    ]


@pytest.mark.parametrize("result", [{"value": 0.5}, {"a": 1, "b": 0.5}, [1, 2], "x", None, {}])
def test_other_results_are_none(result):
    assert found_in(result) == []
    assert best(result, 1) == result


def test_nothing_found_is_a_row_without_cells():
    assert flat([]) == [{"id": "x"}]


def test_numbers_keep_a_type_that_holds_them():
    cells = [{"a": 1, "b": 1.5, "c": 2, "d": "NaN"}, {"a": 1 << 63, "b": "NaN", "c": -(1 << 63)}]
    kinds = columns_of(iter(cells))
    assert [kinds[name] for name in "abcd"] == [str, float, int, str]


def test_no_result_takes_the_columns_of_errors_and_ids():
    (row,) = flat({"id": 5, "error_type": "mine", "x": 1})
    assert row == {"id": "x", "result_id": 5, "result_error_type": "mine", "x": 1}


@given(st.recursive(st.none() | st.floats(0, 1) | st.text(), lambda inner: st.lists(inner) |
                    st.dictionaries(st.sampled_from(["label", "score", "labels", "scores", "box",
                                                     "boxes", "x"]), inner)))  # fmt: skip
def test_whatever_comes_is_flat_and_cut(value):
    assert all(0 <= score <= 1.01 for _, score in label_scores(value))
    cut = best(value, 1)
    assert len(found_in(cut, least=1)) == 1 if found_in(value) else cut == value
    for row in flat(value, top=1):
        assert all(
            cell is None or isinstance(cell, (str, bool, int, float)) for cell in row.values()
        )
