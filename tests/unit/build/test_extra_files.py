"""Where each file of --extra-files lands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mar_core.build.extra_files import ExtraItem, expand_items, split_items
from mar_core.errors import UsageError

TREE = [
    "a.txt",
    "b,c.txt",
    "d=e.txt",
    "data/one.json",
    "data/sub/two.json",
    "data/.hidden/x",
    "x y.txt",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in TREE:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def placed(*values):
    found, _ = expand_items(split_items(values))
    return {file.name: str(file.source) for file in found}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a.txt"], {"a.txt": "a.txt"}),
        (["a.txt,"], {"a.txt": "a.txt"}),
        ([""], {}),
        ([" a.txt , x y.txt "], {"a.txt": "a.txt", "x y.txt": "x y.txt"}),
        (["a.txt", "x y.txt"], {"a.txt": "a.txt", "x y.txt": "x y.txt"}),
        (["b,c.txt"], {"b,c.txt": "b,c.txt"}),
        (["'b,c.txt',a.txt"], {"b,c.txt": "b,c.txt", "a.txt": "a.txt"}),
        (['a.txt, "b,c.txt"'], {"b,c.txt": "b,c.txt", "a.txt": "a.txt"}),
        ([r"b\,c.txt,a.txt"], {"b,c.txt": "b,c.txt", "a.txt": "a.txt"}),
        (["d=e.txt"], {"d=e.txt": "d=e.txt"}),
        ([Path("b,c.txt")], {"b,c.txt": "b,c.txt"}),
        (["data"], {"one.json": "data/one.json", "sub/two.json": "data/sub/two.json"}),
        (["data/"], {"one.json": "data/one.json", "sub/two.json": "data/sub/two.json"}),
        (["data=d/"], {"d/one.json": "data/one.json", "d/sub/two.json": "data/sub/two.json"}),
        (["data=p/q"], {"p/q/one.json": "data/one.json", "p/q/sub/two.json": "data/sub/two.json"}),
        (["a.txt=p/"], {"p/a.txt": "a.txt"}),
        (["a.txt=b.txt"], {"b.txt": "a.txt"}),
        (["data/*"], {"one.json": "data/one.json", "two.json": "data/sub/two.json"}),
        (["data/*.json"], {"one.json": "data/one.json"}),
        (["data/*.json=p/"], {"p/one.json": "data/one.json"}),
        (["data/**"], {"one.json": "data/one.json", "two.json": "data/sub/two.json"}),
        (["**/*.json"], {"one.json": "data/one.json", "two.json": "data/sub/two.json"}),
        (["data/**/two.json"], {"two.json": "data/sub/two.json"}),
        (["data/.hidden/*"], {"x": "data/.hidden/x"}),
        (["?.txt"], {"a.txt": "a.txt"}),
        (["[ab].txt"], {"a.txt": "a.txt"}),
        (["*.txt"], {name: name for name in ("a.txt", "b,c.txt", "d=e.txt", "x y.txt")}),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("folder")
def test_places(values, expected):
    assert placed(*values) == expected


def test_absolute_patterns(folder):
    assert set(placed(f"{folder}/**/*.json")) == {"one.json", "two.json"}
    assert set(placed(f"{folder}/data/*.json")) == {"one.json"}


@pytest.mark.usefixtures("folder")
def test_an_item_that_is_not_there():
    with pytest.raises(UsageError, match=r"There is no file 'no\.txt'"):
        placed("a.txt, no.txt")
    with pytest.raises(UsageError, match="not closed"):
        placed("a.txt,'no")


@pytest.mark.usefixtures("folder")
def test_a_very_long_list_is_no_path():
    values = ",".join(["a.txt"] * 5000)
    assert placed(values) == {"a.txt": "a.txt"}


def test_links(folder):
    (folder / "data" / "inside").symlink_to("one.json")
    assert placed("data")["inside"] == "data/inside"
    (folder / "data" / "loop").symlink_to("..")
    with pytest.raises(UsageError, match="is a link to a folder that holds it"):
        placed("data")
    (folder / "data" / "loop").unlink()
    (folder / "data" / "sub" / "loop").symlink_to("..")
    with pytest.raises(UsageError, match="is a link to a folder that holds it"):
        placed("data")
    (folder / "data" / "sub" / "loop").unlink()
    (folder / "data" / "nowhere").symlink_to("nosuch")
    with pytest.raises(UsageError, match="leads nowhere"):
        placed("data")


def test_links_out_of_a_folder_are_followed_and_told(folder):
    secret = folder.parent / "secret"
    secret.write_text("secret")
    (folder / "data" / "out").symlink_to(secret)
    found, findings = expand_items([ExtraItem("data")])
    assert {file.name for file in found} == {"one.json", "sub/two.json", "out"}
    (finding,) = findings
    assert finding.code == "MAR-E003"
    assert "A file leads out of data by a link, such as data/out to" in finding.message
    assert placed("data/out") == {"out": "data/out"}


def test_a_prefix_is_not_the_folder(folder):
    """``data1`` is not inside ``data``, although its name begins so."""
    (folder / "data1").mkdir()
    (folder / "data1" / "x").write_text("x")
    (folder / "data" / "link").symlink_to("../data1/x")
    (finding,) = expand_items([ExtraItem("data")])[1]
    assert finding.code == "MAR-E003"


def test_a_folder_of_hugging_faces_cache_is_packed_without_a_word(tmp_path):
    snapshot = tmp_path / "models--acme--tiny" / "snapshots" / "0123abc"
    blobs = tmp_path / "models--acme--tiny" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name in ("config.json", "model.safetensors"):
        (blobs / f"blob-{name}").write_text(name)
        (snapshot / name).symlink_to(f"../../blobs/blob-{name}")
    found, findings = expand_items([ExtraItem(str(snapshot))])
    assert [file.name for file in found] == ["config.json", "model.safetensors"]
    assert findings == []


def test_pipes_are_not_opened(folder):
    os.mkfifo(folder / "data" / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        placed("data")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        placed("data/pipe")


@pytest.mark.usefixtures("folder")
def test_what_stays_out():
    found, findings = expand_items(
        [ExtraItem("data")], leave_out=frozenset({Path("data/sub").resolve()})
    )
    assert [file.name for file in found] == ["one.json"]
    assert findings == []
    found, findings = expand_items(
        [ExtraItem("a.txt")], leave_out=frozenset({Path("a.txt").resolve()})
    )
    assert (found, [finding.code for finding in findings]) == ([], ["MAR-E002"])
    found, findings = expand_items([ExtraItem("*.none")])
    assert (found, [finding.code for finding in findings]) == ([], ["MAR-E001"])


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."} and name.strip() and len(name.encode()) < 200)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_any_name_can_be_given_as_a_path(tmp_path_factory, names):
    """A ``Path`` is taken literally, whatever characters its name holds."""
    folder = tmp_path_factory.mktemp("names")
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(b"")
    found, _ = expand_items(split_items(tuple(paths)))
    kept = [path for path in paths if not path.name.endswith(".pyc") and path.name != ".DS_Store"]
    assert [(file.name, file.source) for file in found] == [(path.name, path) for path in kept]


PLAIN = st.text(st.sampled_from("ab ,'\"\\=.é"), min_size=1, max_size=12).filter(
    lambda name: name == name.strip() and name not in {".", ".."}
)


def quoted(name):
    """The name as a user would write it into a comma list."""
    return "".join("\\," if char == "," else char for char in name)


@given(
    names=st.lists(PLAIN.filter(lambda name: name[0] not in "'\"" and "=" not in name), max_size=5)
)
def test_what_is_quoted_comes_back(names):
    safe = [name for name in names if "\\" not in name]
    items = split_items((", ".join(quoted(name) for name in safe),)) if safe else []
    assert [item.source for item in items] == safe


@given(text=st.text(max_size=60))
def test_no_text_crashes_the_splitter(text):
    try:
        items = split_items((text,))
    except UsageError:
        return
    assert all(item.source.strip() == item.source or len(items) == 1 for item in items)
