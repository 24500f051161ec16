"""The one function for names: a table, and properties that hold for any text."""

from __future__ import annotations

import posixpath
import unicodedata

import hypothesis
import namefaults
import pytest
from hypothesis import strategies

from mar_core.format.names import check_name, check_names

texts = strategies.text(
    strategies.one_of(
        strategies.sampled_from("ab./\\: \0\n\u202eéÉ"), strategies.characters(codec="utf-8")
    ),
    max_size=40,
)


def codes(findings):
    return [found.code for found in findings]


@pytest.mark.parametrize(("name", "code"), namefaults.BAD_NAMES.items(), ids=ascii)
def test_bad_names(name, code):
    assert code in codes(check_name(name))


@pytest.mark.parametrize("name", namefaults.GOOD_NAMES, ids=ascii)
def test_good_names(name):
    assert check_name(name) == []


@pytest.mark.parametrize(("names", "code"), namefaults.PAIRS.items(), ids=ascii)
def test_names_that_do_not_go_together(names, code):
    others = ["handler.py", "MAR-INF/MANIFEST.json"]
    assert code in codes(check_names([*others, *names]))


def test_names_that_go_together():
    names = [*namefaults.GOOD_NAMES, "a_folder/x", "a_folder/y", "b_folder/x"]
    names = [name for name in names if name not in {"a", "a/.b/c", "e\u0301.py"}]
    assert check_names(names, ["a_folder", "b_folder"]) == []


def test_the_empty_name_is_bad():
    assert codes(check_name("")) == ["MAR-N002"]


@hypothesis.given(texts)
def test_a_good_name_stays_in_its_folder_on_every_system(name):
    if [found for found in check_name(name) if found.code != "MAR-N011"]:
        return
    assert posixpath.normpath(posixpath.join("/root", name)).startswith("/root/")
    assert posixpath.normpath(name) == name
    assert not set(name) & set("\\:\0\n\r\x1b\u202e")
    assert all(part and not part.endswith((" ", ".")) for part in name.split("/"))


@hypothesis.given(texts)
def test_a_good_name_can_be_written(tmp_path_factory, name):
    if check_name(name):
        return
    target = tmp_path_factory.mktemp("names", numbered=True) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"1")
    assert target.read_bytes() == b"1"


@hypothesis.given(texts)
def test_nothing_is_found_twice_and_findings_name_the_member(name):
    found = check_name(name)
    assert len({(one.code, one.message) for one in found}) <= len(found)
    assert all(one.member == name for one in found)


@hypothesis.given(texts.filter(bool))
def test_a_name_and_its_other_forms_never_go_together(name):
    for other in {
        name.upper(), name.lower(), name.swapcase(),
        unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name),
    } - {name}:  # fmt: skip
        if unicodedata.normalize("NFC", other.casefold()) == unicodedata.normalize(
            "NFC", name.casefold()
        ):
            assert codes(check_names([name, other])), (name, other)


@hypothesis.given(strategies.lists(texts, max_size=6))
def test_any_names_can_be_checked(names):
    for found in check_names(names, names[:2]):
        assert found.code.startswith("MAR-N")
