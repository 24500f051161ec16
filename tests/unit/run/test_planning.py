"""What the flags of ``mar run`` ask for: each alone, and those that nobody can mean together."""

from __future__ import annotations

from pathlib import Path

import pytest

from mar_core import ArchiveRequest, UsageError
from mar_core.run.planning import Asked, job_of

INPUT = ("m.mar", "a")
JSON = ("content-type: application/json",)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("there.py", "there.mar", "data.bin"):
        (tmp_path / name).write_text("")


def job(**asked):
    return job_of(Asked(**{"words": INPUT, **asked}))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"words": ()}, "There is nothing to run. Try `mar run model.mar input.png`"),
        ({"words": ("m.mar",)}, "There are no inputs. Name files, folders or patterns"),
        ({"words": INPUT, "data": ("x",)}, "Both the input a and -d say what is sent."),
        ({"words": ("m.mar",), "upload": ("a",), "form": ("a=1",)}, "Both -T and -F say"),
        ({"upload": ("a",), "form": ("a=1",)}, "Both the input a and -T say"),
        ({"words": ("there.py", "a")}, "there.py is Python and no archive. Run it by `mar run --h"),
        ({"words": ("there.mar", "a"), "handler": "h.py"}, "Both there.mar and --handler say"),
        ({"version": "1"}, "--version describes what is not packed, and needs --handler."),
        ({"extra_files": ("a",)}, "--extra-files describes what is not packed"),
        ({"header": JSON, "content_type": "a/b"}, "--content-type says a/b, and -H says applica"),
        ({"header": JSON, "lines": True}, "--lines is for rows, and a content type sends"),
        ({"content_type": "a/b", "keep": ("x",)}, "--keep is for rows"),
        ({"raw": True, "envelope": "json"}, "--raw sends bytes, and --envelope unwraps JSON."),
        ({"words": ("m.mar",), "data": ("x",), "keep": ("x",)}, "--keep takes from rows, and a r"),
        ({"words": ("m.mar",), "data": ("x",), "lines": True}, "--lines sends a text a line"),
        ({"in_process": True, "workers": 2}, "--in-process runs in this process, where --workers"),
        ({"in_process": True, "timeout": 2.0}, "--in-process runs in this process, where --work"),
        ({"profile": "p", "workers": 2}, "--profile runs in this process, where --workers"),
        ({"in_process": True, "engine": "ray"}, "--in-process runs in this process, and --engine"),
        ({"in_process": True, "env": "auto"}, "--in-process runs in mar's own environment"),
        ({"engine_option": ("a",)}, "--engine-option 'a' is not NAME=VALUE."),
        ({"engine_option": ("=b",)}, "--engine-option '=b' is not NAME=VALUE."),
        ({"batch_size": "0"}, "--batch-size 0 is no size."),
        ({"batch_size": "-1"}, "--batch-size -1 is no size."),
        ({"batch_size": "few"}, "--batch-size few is no size. Use a number, or `auto`."),
        ({"force": True}, "--force has nothing to replace without --output."),
        ({"force": True, "resume": True, "output": "o"}, "--resume goes on, and --force starts"),
        ({"dry_run": True, "watch": True}, "--dry-run runs nothing"),
        ({"words": ("m.mar", "@-"), "watch": True}, "--watch runs again, and standard input can"),
        ({"resume": True, "watch": True}, "--watch starts afresh each time"),
    ],
)
def test_what_nobody_can_mean(asked, told):
    with pytest.raises(UsageError) as caught:
        job(**asked)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    "asked",
    [
        {"words": ("m.py", "a")},  # not there: opening it says so
        {"words": ("data.bin", "a")},
        {"words": ("absent.mar", "a"), "handler": "h.py"},
        {"words": ("data.bin",), "handler": "h.py"},
        {"words": (), "handler": "h.py", "data": ("x",)},
        {"header": JSON, "content_type": "application/json"},
        {"header": ("x-a: 1",), "content_type": "a/b"},
        {"header": JSON},
        {"content_type": "a/b"},
        {"raw": True},
        {"envelope": "json"},
        {"keep": ("x",), "column": "y", "lines": True},
        {"workers": 2, "timeout": 3.0, "engine": "ray", "env": "auto"},
        {"in_process": True, "env": "off"},
        {"in_process": True, "env": ""},
        {"profile": "p"},
        {"force": True, "output": "o"},
        {"resume": True, "output": "o"},
        {"dry_run": True},
        {"watch": True},
        {"words": ("m.mar", "-")},
        {"words": ("m.mar", "-"), "dry_run": True},
    ],
)
def test_what_can_be_meant(asked):
    job(**asked)


def test_what_the_flags_ask_for():
    plain = job()
    assert (plain.sources, plain.recipe.source) == (("a",), Path("m.mar"))
    assert job(words=("m.mar",), form=("a=1",)).form[0].name == "a"
    sent = job(words=("m.mar",), data=("@lines.txt",), data_binary=("@lines.txt",)).data
    assert [part.as_it_is for part in sent] == [False, True]
    assert (plain.reading.content_type, plain.reading.headers) == (None, {})
    assert (plain.recipe.limit_image_pixels, plain.recipe.env) == (True, None)
    assert (plain.running.workers, plain.running.batch_size) == (None, None)
    assert (plain.reading.keep, plain.writing.keep) == ((), ())
    assert job(no_pixel_limit=True).recipe.limit_image_pixels is False
    assert job(env="auto").recipe.env == "auto"
    assert job(in_process=True).running.workers == job(profile="p").running.workers == 0
    assert job(workers=3).running.workers == 3
    assert [job(batch_size=size).running.batch_size for size in ("1", "8", "auto")] == [
        1,
        8,
        "auto",
    ]
    assert job(header=JSON).reading.content_type == "application/json"
    assert job(content_type="a/b").reading.content_type == "a/b"
    options = job(engine="ray", engine_option=("a=1", "b=x=y", "c=")).running.engine_options
    assert options == {"a": "1", "b": "x=y", "c": ""}


def test_columns_are_kept_once():
    asked = job(keep=("a", "b", "a"), truth="label")
    assert asked.reading.keep == ("a", "b", "label")
    assert asked.writing.keep[:2] == ("a", "b")
    assert len(asked.writing.keep) == 3
    assert job(keep=("a",)).writing.keep == ("a",)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"handler": "my handler.py:run"}, "my_handler"),
        ({"handler": "h.py", "model_file": "net.py"}, "net"),
        ({"handler": "h.py", "model_name": "mine"}, "mine"),
        ({"handler": "..py"}, "model"),
    ],
)
def test_what_nobody_has_named_gets_a_name(asked, name):
    if "model_file" in asked:
        asked["model_file"] = Path(asked["model_file"])
    source = job(words=("a",), **asked).recipe.source
    assert isinstance(source, ArchiveRequest)
    assert source.model_name == name
