"""The table of rules, the page about it, and the tests: each holds the others."""

from __future__ import annotations

import re

import pytest
import rules_page
import tree

from mar_core.checks.table import FAMILIES, RULES

CODE = re.compile(r"MAR-[A-Z]\d{3}")


def mentioned_in(*folders: str) -> set[str]:
    """The codes that the files of some folders name."""
    texts = (path.read_text(encoding="utf-8") for name in folders for path in tree.sources(name))
    return {code for text in texts for code in CODE.findall(text)}


def test_the_page_is_made_of_the_table():
    written = rules_page.PAGE.read_text(encoding="utf-8")
    assert written == rules_page.page(), "run `python tests/support/rules_page.py`"


@pytest.mark.parametrize("code", RULES)
def test_a_rule_says_what_must_hold_and_what_to_do(code):
    rule = RULES[code]
    assert code[4] in FAMILIES
    assert CODE.fullmatch(code)
    assert not rule.title.endswith(".")
    assert rule.remedy.endswith(".")


def test_no_two_rules_say_the_same():
    titles = [rule.title for rule in RULES.values()]
    assert len(set(titles)) == len(titles)


def test_the_code_has_no_rule_that_is_not_in_the_table():
    assert mentioned_in("mar_core", "builtin_handlers") == set(RULES)


def test_every_rule_is_shown_by_a_test():
    assert set(RULES) - mentioned_in("tests") == set()
