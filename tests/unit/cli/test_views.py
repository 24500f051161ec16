"""What the commands that look at things print."""

from __future__ import annotations

import json

import pytest

from mar_core import archive
from mar_core.cli import app


@pytest.fixture
def packed(tmp_path):
    handler = tmp_path / "handler.py"
    handler.write_text("def handle(data, context):\n    return data\n")
    return lambda: archive("m", handler=handler, version="1.0", export_path=tmp_path)


def shown(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        app(list(map(str, words)), prog_name="mar")
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_inspect_names_no_date_where_an_archive_has_none(packed, capsys, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    text = shown(capsys, "inspect", packed())
    assert "made: by archiver" in text
    assert "1980" not in text


def test_inspect_shows_the_date_that_an_archive_was_given(packed, capsys, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert "made: 14/11/2023 22:13:20 by archiver" in shown(capsys, "inspect", packed())


def test_plugins_shows_the_state_before_the_long_target(capsys):
    head, *rows = shown(capsys, "plugins").splitlines()
    assert head.split() == ["name", "kind", "distribution", "version", "state", "target"]
    (row,) = [row for row in rows if row.startswith("mar-rules ")]
    assert row.split() == [
        "mar-rules",
        "plugin",
        "mar-core",
        "0.1.0",
        "available",
        "mar_core.checks.rules",
    ]


def test_plugins_as_json_has_the_same(capsys):
    entries = json.loads(shown(capsys, "plugins", "--json"))
    (entry,) = [entry for entry in entries if entry["name"] == "mar-rules"]
    assert (entry["kind"], entry["state"]) == ("plugin", "available")
