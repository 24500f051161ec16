"""What rules want to know about an archive, worked out once."""

from __future__ import annotations

from memory_archive import archive

from mar_core.checks.subject import Subject
from mar_core.weights import Allowance

CLASS = b"from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler):\n    pass\n"
BLOCK = b"# /// script\n# dependencies = ['numpy']\n# ///\n"


def test_only_a_source_is_read_as_one():
    source = Subject(archive({"h.py": BLOCK + CLASS}, handler="h.py"))
    assert source.handler_module is not None
    assert source.script_member == "h.py"
    assert source.is_loaded_by_base_handler
    compiled = Subject(archive({"h.pyc": BLOCK + CLASS}, handler="h"))
    assert compiled.handler is not None
    assert compiled.handler_module is None
    assert compiled.script_member is None
    assert not compiled.is_loaded_by_base_handler


def test_what_is_large_is_not_read():
    block = Subject(archive({"h.py": (BLOCK + CLASS).ljust(1 << 20)}, handler="h.py"))
    assert block.script_member == "h.py"
    block = Subject(archive({"h.py": (BLOCK + CLASS).ljust((1 << 20) + 1)}, handler="h.py"))
    assert block.script_member is None
    longest = b"#".ljust(4 << 20, b"x")
    subject = Subject(archive({"a.py": longest, "b.py": longest + b"x"}))
    assert subject.module("a.py") is not None
    assert subject.module("b.py") is None


def test_what_costs_more_than_is_left_is_said_to():
    subject = Subject(archive({"a.bin": b"\0\1\2"}))
    assert subject.examine("a.bin").faults == []
    subject.budget.spend(subject.budget.left)
    report = subject.examine("a.bin")
    assert [fault.code for fault in report.faults] == ["MAR-W005"]
    assert report.format.name == "unknown"
    assert isinstance(subject.budget, Allowance)
