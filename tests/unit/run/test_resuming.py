"""What a run can be resumed by: whatever changes a row, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
import zipfile

import pytest

from mar_core import ReadOptions, Recipe
from mar_core.run.resuming import ChangedSources, identity_of
from mar_core.testing import make_archive

SOURCE = "def handle(data, context):\n    return data\n"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "echo.py"
    path.write_text(SOURCE)
    return path


def identity(recipe, reading=None, *, explain=False):
    with recipe.open() as archive:
        return identity_of(archive, recipe, reading or ReadOptions(), explain=explain)


def test_whatever_changes_a_row(tmp_path, source):
    recipe = Recipe(source=make_archive(tmp_path, handler=source))
    told = [
        identity(recipe),
        identity(recipe, explain=True),
        identity(dataclasses.replace(recipe, envelope="json")),
        identity(recipe, ReadOptions(column="text")),
        identity(recipe, ReadOptions(field_name="data")),
        identity(recipe, ReadOptions(content_type="text/plain")),
        identity(recipe, ReadOptions(headers={"X-Id": "1"})),
        identity(recipe, ReadOptions(headers={"X-Id": "2"})),
    ]
    assert len(set(told)) == len(told)


def test_nothing_else(tmp_path, source):
    recipe = Recipe(source=make_archive(tmp_path, handler=source))
    elsewhere = Recipe(source=make_archive(tmp_path / "elsewhere", handler=source))
    same = dataclasses.replace(recipe, device="cpu", batch_size=7)
    assert identity(recipe) == identity(same) == identity(elsewhere)
    both = {"a": "1", "b": "2"}
    turned = dict(reversed(both.items()))
    assert identity(recipe, ReadOptions(headers=both, include=("*.jpg",))) == identity(
        recipe, ReadOptions(headers=turned)
    )


def test_the_content_of_every_member(tmp_path, source):
    first = make_archive(tmp_path, handler=source, files={"a.txt": "1"})
    second = make_archive(tmp_path / "b", handler=source, files={"a.txt": "2"})
    source.write_text(SOURCE + "\n")
    third = make_archive(tmp_path / "c", handler=source, files={"a.txt": "1"})
    assert len({identity(Recipe(source=path)) for path in (first, second, third)}) == 3


def test_an_archive_that_others_made_has_no_digests(tmp_path, source):
    """As torch-model-archiver writes them: what counts is what the members hold."""
    manifest = '{"model": {"modelName": "m", "handler": "echo.py"}, "runtime": "python"}'

    def write(name, handler):
        with zipfile.ZipFile(tmp_path / name, "w") as stream:
            stream.writestr("MAR-INF/MANIFEST.json", manifest)
            stream.writestr("echo.py", handler)
        return Recipe(source=tmp_path / name)

    first, copy = write("a.mar", SOURCE), write("b.mar", SOURCE)
    assert identity(first) == identity(copy)
    assert identity(first) != identity(write("c.mar", SOURCE.replace("return data", "return None")))


def test_an_unpacked_archive_may_have_been_edited(tmp_path, source):
    folder = make_archive(tmp_path, handler=source, archive_format="no-archive")
    before = identity(Recipe(source=folder))
    assert identity(Recipe(source=folder)) == before
    (folder / "echo.py").write_text(SOURCE.replace("return data", "return None"))
    assert identity(Recipe(source=folder)) != before


def test_where_the_manifest_does_not_list_a_member_all_of_them_count(tmp_path, source):
    """The names, too, and where one member ends and the next begins."""
    listed = {"echo.py": {"sha256": hashlib.sha256(SOURCE.encode()).hexdigest()}}
    manifest = {"model": {"modelName": "m", "handler": "echo.py"}, "mar": {"members": listed}}

    def write(number, **members):
        path = tmp_path / f"{number}.mar"
        with zipfile.ZipFile(path, "w") as stream:
            stream.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
            stream.writestr("echo.py", SOURCE)
            for name, text in members.items():
                stream.writestr(name, text)
        return identity(Recipe(source=path))

    # One that is listed without a digest can be anything, too.
    listed |= {"a": {}, "b": {"sha256": None}}
    members = [{}, {"a": "12", "b": "3"}, {"a": "12", "b": "4"}, {"a": "1", "b": "23"},
               {"a": "12", "c": "3"}]  # fmt: skip
    told = [write(number, **these) for number, these in enumerate(members)]
    assert len(set(told)) == len(told)


def told_of(sources, since):
    """What is warned of after each of the sources was skipped, twice."""
    changed = ChangedSources(since)
    for source in sources:
        changed.opened(str(source))
        changed.skipped()
        changed.skipped()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        changed.warn()
    return [str(warning.message).partition(": ")[2].partition(". Their")[0] for warning in caught]


def test_inputs_that_were_changed_since_and_are_not_run_again_are_named(tmp_path):
    paths = [tmp_path / f"{number}.txt" for number in range(5)]
    for path in paths:
        path.write_text("x")
    times = [path.stat().st_ctime_ns for path in paths]
    names = [str(path) for path in paths]
    before, newest = min(times) - 1, max(times)
    assert told_of(paths, newest) == []
    assert told_of(paths[:1], times[0]) == []
    assert told_of(paths[:1], before) == [names[0]]
    assert told_of(paths[:3], before) == [", ".join(names[:3])]
    assert told_of(paths, before) == [f"{', '.join(names[:3])} and 2 more"]
    assert told_of(paths, 0) == []  # nobody knows when that run began
    assert told_of(["", "-", "https://example.org/x", "a\0b", tmp_path / "gone"], before) == []
