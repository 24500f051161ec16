"""``pylock.toml``: what is installed from it, and what never is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_archive import archive, codes

from mar_core.checks.lock import LockError, parse_lock
from mar_core.checks.requirements import lines_digest
from mar_core.checks.rules import mar_validate_archive as check

HEAD = 'lock-version = "1.0"\ncreated-by = "test"\n'
HASH = 'hashes = { sha256 = "%s" }' % ("0" * 64)
WHEEL = f'wheels = [{{ name = "{{0}}-1.0-py3-none-any.whl", url = "https://h/x", {HASH} }}]\n'


def package(name, body=None, **more):
    keys = "".join(f'{key.replace("_", "-")} = "{value}"\n' for key, value in more.items())
    source = WHEEL.replace("{0}", name) if body is None else body
    return f'[[packages]]\nname = "{name}"\nversion = "1.0"\n{keys}{source}'


def lock(*packages, head=HEAD, end=""):
    return (head + "".join(packages) + end).encode()


def test_one_file_of_each_package_is_chosen_for_this_machine():
    other = package("here", marker="sys_platform == 'none'").replace("1.0", "2.0")
    read = parse_lock(lock(package("here"), other, package("pkg")))
    assert [(pin.name, pin.version) for pin in read.pins()] == [("here", "1.0"), ("pkg", "1.0")]
    assert {pin.hashed for pin in read.pins()} == {f"sha256:{'0' * 64}"}
    assert read.versions == {"here": "1.0 | 2.0", "pkg": "1.0"}


def test_what_is_there_for_torch_alone_is_said_by_locks_of_ours():
    assert parse_lock(lock(package("a"))).for_torch == {"torch", "torchvision"}
    end = '[tool.mar]\ntorch = ["torch", "triton"]\nrequirements = "sha256:1"\n'
    read = parse_lock(lock(package("a"), end=end))
    assert (read.for_torch, read.requirements) == ({"torch", "triton"}, "sha256:1")


ADDRESS = f'archive = {{ url = "https://h/a.zip", {HASH} }}\n'
REPOSITORY = 'vcs = { type = "git", url = "https://h/x", commit-id = "0" }\n'
WEAK = 'wheels = [{ name = "a-1.0-py3-none-any.whl", url = "u", hashes = { md5 = "0" } }]\n'
HASHLESS = 'wheels = [{ name = "a-1.0-py3-none-any.whl", url = "u", hashes = { sha256 = "?" } }]\n'
SDIST = f'sdist = {{ name = "a-1.0.tar.gz", url = "u", {HASH} }}\n'
FAULTS = {
    "no version": (lock(package("a").replace('version = "1.0"\n', "")), "a would come from a URL"),
    "a hash that is none": (lock(package("a", HASHLESS)), "a has no SHA-256"),
    "a weak source beside a wheel": (
        lock(package("a", WHEEL.replace("{0}", "a") + SDIST.replace("sha256", "md5"))),
        "a has no SHA-256",
    ),
    "two weak ones": (
        lock(package("a", WEAK), package("b", WEAK.replace("a-", "b-"))),
        "a, b have no SHA-256",
    ),
    "an address": (lock(package("a", ADDRESS)), "a would come from a URL or a path"),
    "a repository": (lock(package("a", REPOSITORY)), "a would come from a URL or a path"),
    "a folder": (lock(package("a", 'directory = { path = "x" }\n')), "would come from a URL"),
    "a weak hash": (lock(package("a", WEAK)), "a has no SHA-256"),
    "no hash": (lock(package("a", WEAK.replace('{ md5 = "0" }', "{}"))), "no lock of PEP 751"),
    "no files": (lock(package("a", "")), "no lock of PEP 751"),
    "a newer kind": (lock(head=HEAD.replace("1.0", "2.0")), "no lock of PEP 751"),
    "no TOML": (b"[[[", "no TOML"),
    "long keys": (b"".join(b"k%d%s=1\n" % (n, b".a" * 4000) for n in range(9)), "too many parts"),
    "no text": (b"\xff", "no TOML"),
    "too deep": (b"a = " + b"[" * 8000, "no TOML"),
    "a long key": (b"a." * 5000 + b"a = 1", "longer than 8,192 bytes"),
    "too long": (b"# x\n" * (1 << 20) + b"#", "at most 4,194,304 are read"),
}


@pytest.mark.parametrize(("raw", "words"), FAULTS.values(), ids=FAULTS)
def test_a_lock_with_a_fault_is_a_warning_and_is_never_installed(raw, words):
    (finding,) = check(archive({"pylock.toml": raw}))
    assert finding.code == "MAR-Q008"
    assert words in finding.message
    assert finding.severity.value == "warning"
    with pytest.raises(LockError, match=words):
        parse_lock(raw).pins()


def test_a_lock_for_others_is_said_to_be_so():
    read = parse_lock(lock(head=HEAD + 'requires-python = "<3"\npackages = []\n'))
    with pytest.raises(LockError, match=r"not for this machine: .*'<3'"):
        read.pins()
    wheel = WHEEL.replace("py3-none-any", "cp311-cp311-win32").replace("{0}", "a")
    with pytest.raises(LockError, match="not for this machine"):
        parse_lock(lock(package("a", wheel))).pins()


def test_a_source_is_built_on_the_users_word_alone():
    read = parse_lock(lock(package("a", SDIST), head=HEAD + 'requires-python = ">=3"\n'))
    assert [pin.hashed for pin in read.pins()] == [""]
    assert [pin.hashed for pin in read.pins(allow_build=True)] == [f"sha256:{'0' * 64}"]
    assert read.requires_python == ">=3"
    assert parse_lock(lock(package("a"))).requires_python is None


def test_a_package_without_a_version_is_named_all_the_same():
    raw = lock(package("a").replace('version = "1.0"\n', ""), package("b"))
    assert parse_lock(raw).versions == {"a": "?", "b": "1.0"}


def test_a_lock_of_these_requirements_is_known():
    digest = lines_digest([(1, "a"), (7, "b>1")])
    end = f'[tool.mar]\nrequirements = "{digest}"\n'
    content = {"pylock.toml": lock(package("a"), end=end), "r.txt": b"# of these\na\n\nb>1\n"}
    assert codes(check(archive(content, requirementsFile="r.txt"))) == []
    content["r.txt"] = b"a\nb>2\n"
    assert codes(check(archive(content, requirementsFile="r.txt"))) == ["MAR-Q009"]


def test_a_lock_of_other_requirements_is_known():
    end = '[tool.mar]\nrequirements = "sha256:0"\n'
    content = {"pylock.toml": lock(package("a"), end=end), "requirements.txt": b"a\n"}
    found = list(check(archive(content, requirementsFile="requirements.txt")))
    assert codes(found) == ["MAR-Q009"]
    content["pylock.toml"] = lock(package("a"))  # made by another tool, which does not say
    assert codes(list(check(archive(content, requirementsFile="requirements.txt")))) == []


@given(st.binary(max_size=200), st.integers(0, 300))
def test_whatever_is_in_it_is_a_lock_or_none(junk, at):
    raw = lock(package("a"), package("b"))
    with contextlib.suppress(LockError):  # and nothing else
        parse_lock(raw[:at] + junk + raw[at:]).pins()
